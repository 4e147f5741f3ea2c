"""Who may call the web server, how often, and what is kept of it. ``door.install`` wires it into the application."""
