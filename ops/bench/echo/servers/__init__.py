"""Three echo servers on three stacks, one contract: ``serve(options, sock, stop)`` (options.py, RFC 6455)."""
