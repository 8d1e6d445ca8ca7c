"""W8: scripts that load digits, train to 97 % validation accuracy, and exit; each as its library's user would write it."""
