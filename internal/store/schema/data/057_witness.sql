-- The newest checkpoint of each workspace that enough witnesses have cosigned.
CREATE TABLE ledger_cosigned (
	workspace text   NOT NULL PRIMARY KEY,
	size      bigint NOT NULL,
	note      blob   NOT NULL -- signed by the log and the witnesses
);
