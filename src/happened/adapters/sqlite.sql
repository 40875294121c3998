-- The tables of Happened in a SQLite file, version 1.
--
-- Moments are ISO 8601 text in UTC with six digits after the second: they sort as they follow.
-- What is JSON is text. Beside these tables, each unique or indexed field of an aggregate has an
-- index on happened_documents for its category alone, named happened_unique:<category>:<field> or
-- happened_index:<category>:<field>.

CREATE TABLE happened_schema (
    version INTEGER NOT NULL,
    domain TEXT -- the name of the first that used them; no other domain may
);

INSERT INTO happened_schema (version) VALUES (1);

-- One aggregate a row. Where it was removed, the version is 0 and there are no data: the row stays,
-- since an identity is used once.
CREATE TABLE happened_documents (
    seq INTEGER PRIMARY KEY, -- the order in which they were stored first
    category TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    next_position INTEGER NOT NULL,
    data TEXT CHECK (data IS NULL OR json_valid(data)),
    UNIQUE (category, id)
);

-- One event or command a row. The global position is given inside of the transaction: SQLite has
-- one writer at a time, so positions have no gaps and follow the order of the commits.
CREATE TABLE happened_messages (
    global_position INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    version INTEGER NOT NULL,
    timestamp TEXT NOT NULL,
    stream TEXT NOT NULL,
    position INTEGER NOT NULL,
    category TEXT NOT NULL,
    partition INTEGER NOT NULL,
    correlation_id TEXT NOT NULL,
    causation_id TEXT,
    origin_stream TEXT,
    headers TEXT NOT NULL,
    data TEXT NOT NULL,
    claims TEXT NOT NULL, -- the names of handlers, as a list
    UNIQUE (stream, position)
);

CREATE INDEX happened_messages_by_partition
    ON happened_messages (category, partition, global_position);

-- How far a subscription has read each of its partitions: the next global position to read.
CREATE TABLE happened_checkpoints (
    subscription TEXT NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (subscription, partition)
) WITHOUT ROWID;

-- What waits for a handler outside of the order of positions, dead letters included. A handler and
-- a message are here once. Most rows are pending and live for a moment: they cost one tree alone.
CREATE TABLE happened_deliveries (
    handler TEXT NOT NULL,
    subscription TEXT NOT NULL,
    message_id TEXT NOT NULL,
    stream TEXT NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due TEXT NOT NULL,
    error TEXT NOT NULL,
    traceback TEXT NOT NULL,
    blocks INTEGER NOT NULL,
    PRIMARY KEY (state, handler, message_id)
) WITHOUT ROWID;

CREATE INDEX happened_deliveries_by_subscription ON happened_deliveries (subscription)
    WHERE state <> 'pending';
