-- Ranges of ledgers that lie in objects. What a row covers is no longer read from the tail.
CREATE TABLE ledger_segments (
	workspace   text   NOT NULL,
	first       bigint NOT NULL, -- number of the first entry
	entries     bigint NOT NULL,
	earliest_us bigint NOT NULL, -- time of the first entry
	latest_us   bigint NOT NULL, -- time of the last entry
	month       text   NOT NULL, -- that the last entry is of
	state       bigint NOT NULL, -- 0 sealed, 1 merged, 2 locked
	trimmed     bigint NOT NULL, -- 1 where the tail has no rows of it any more
	PRIMARY KEY (workspace, first)
);

CREATE INDEX ledger_segments_unmerged ON ledger_segments (month, workspace) WHERE state < 2;
CREATE INDEX ledger_segments_untrimmed ON ledger_segments (workspace) WHERE trimmed = 0;

-- What lies where. A name is never used twice.
CREATE TABLE ledger_objects (
	name      text   NOT NULL PRIMARY KEY,
	workspace text   NOT NULL,
	first     bigint NOT NULL,
	kind      text   NOT NULL,
	scopes    text   NOT NULL,
	low       bigint NOT NULL, -- first entry with a part in it
	high      bigint NOT NULL, -- last entry with a part in it
	size      bigint NOT NULL, -- bytes
	sha256    blob   NOT NULL,
	until_us  bigint NOT NULL, -- kept until then; 0 for no longer than wanted
	FOREIGN KEY (workspace, first) REFERENCES ledger_segments (workspace, first) ON DELETE CASCADE
);

CREATE INDEX ledger_objects_segment ON ledger_objects (workspace, first);
