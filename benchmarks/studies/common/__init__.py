"""What several studies share: records, measured commands, stages, snapshots."""
