"""Synthetic images of what photographs lack: text, screens, drawings, plots, scans, dithering, patterns."""
