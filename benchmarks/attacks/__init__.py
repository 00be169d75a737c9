"""Attacks on PowerQE: signals, full disks, lost links and damaged inputs, of which every one is read or refused."""
