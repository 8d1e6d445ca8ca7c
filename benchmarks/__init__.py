"""Speed against peers (`python -m benchmarks`) and the accuracy tables (`python -m benchmarks.tables`)."""
