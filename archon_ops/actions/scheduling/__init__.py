"""What is done by itself: timers of systemd, or a block of ours in a crontab."""
