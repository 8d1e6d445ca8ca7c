"""W8: scripts that load digits, train to 97 % validation accuracy, and exit; each as a user would write it."""
