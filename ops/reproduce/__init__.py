"""`frt reproduce`: a recorded fault carried out again, alone, in a fresh virtual machine."""
