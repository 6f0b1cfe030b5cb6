//! What any long-running service needs: YAML, web server, metrics, clock, systemd.
