"""The command lines of sipactors under twistd."""
