"""Alerts to people: queued durably where they arise, sent by a process of their own.

A stage only queues a line in the shared state and starts the sender; it never waits for a network.
Addresses are read from the profile when they are used, and are neither stored nor logged.
"""
