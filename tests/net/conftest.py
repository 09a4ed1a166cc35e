"""Every test of this folder runs with both pollers."""

from netpeers import poller as poller
