"""Instructions, faults and whole histories with which the program and its model are compared on a chain."""
