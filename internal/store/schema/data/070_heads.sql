-- Where a head was before its last move, so that one statement moves many and none that another process moved.
ALTER TABLE ledger_heads ADD COLUMN was bigint NOT NULL DEFAULT 0;
