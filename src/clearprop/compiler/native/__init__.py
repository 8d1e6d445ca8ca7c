"""The native executor's runtime: BLAS by address, intrinsics, vector functions, the driver, the cache on disk."""
