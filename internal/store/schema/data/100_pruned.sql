-- How many of a ledger's first entries were pruned. Its segments begin there.
ALTER TABLE ledger_heads ADD COLUMN pruned bigint NOT NULL DEFAULT 0;
