-- What happened keeps in PostgreSQL. "happened" stands for the schema that the URL names.

-- ------------------------------------------------------------------------------------ tables

CREATE TABLE happened.schema_version (
    version integer NOT NULL,
    domain  text COLLATE "C"  -- the name of the first that used them; no other domain may
);

-- One row an aggregate. A removed one stays without its data: an identity is used once.
CREATE TABLE happened.documents (
    category      text COLLATE "C" NOT NULL,
    id            text COLLATE "C" NOT NULL,
    version       bigint NOT NULL,
    next_position bigint NOT NULL,
    data          json,  -- as it was saved, to the byte: this is what is loaded
    fields        jsonb GENERATED ALWAYS AS (data::jsonb) STORED,  -- this is what queries look at
    seq           bigserial NOT NULL,
    PRIMARY KEY (category, id)
);

CREATE INDEX documents_in_order ON happened.documents (category, seq) WHERE data IS NOT NULL;

-- One row a message. "row" is drawn at the insert, the global position is given after the commit.
CREATE TABLE happened.messages (
    row             bigserial NOT NULL,
    global_position bigint,
    id              text COLLATE "C" NOT NULL PRIMARY KEY,
    type            text NOT NULL,
    version         integer NOT NULL,
    time            timestamptz NOT NULL,
    stream          text COLLATE "C" NOT NULL,
    category        text COLLATE "C" NOT NULL,
    partition       smallint NOT NULL,
    position        bigint NOT NULL,
    correlation_id  text NOT NULL,
    causation_id    text,
    origin_stream   text,
    headers         json,
    data            json NOT NULL,
    claims          text[] NOT NULL
);

CREATE UNIQUE INDEX messages_stream_position ON happened.messages (stream, position);
-- Each partition of a category lies together, in order: what is next in it is found at once,
-- however much lies in others. The whole of a category is merged from its partitions.
CREATE INDEX messages_partition ON happened.messages (category, partition, global_position)
    WHERE global_position IS NOT NULL;
-- All messages in order. It has an expression, so that it is used where that is asked for alone: the
-- planner does not know how partitions and categories belong together, and would now and then
-- look through everything for the few messages of one of them.
CREATE UNIQUE INDEX messages_global_position ON happened.messages ((global_position + 0))
    WHERE global_position IS NOT NULL;
CREATE INDEX messages_unnumbered ON happened.messages (row) WHERE global_position IS NULL;

-- The last global position of each category and partition, kept by the numbering: a few rows tell
-- which partitions have something to read.
CREATE TABLE happened.category_ends (
    category  text COLLATE "C" NOT NULL,
    partition smallint NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (partition, category)
);

CREATE TABLE happened.checkpoints (
    subscription text COLLATE "C" NOT NULL,
    partition    smallint NOT NULL,
    position     bigint NOT NULL,
    PRIMARY KEY (subscription, partition)
);

CREATE TABLE happened.deliveries (
    handler      text COLLATE "C" NOT NULL,
    subscription text COLLATE "C" NOT NULL,
    message_id   text COLLATE "C" NOT NULL,
    stream       text COLLATE "C" NOT NULL,
    partition    smallint NOT NULL,
    position     bigint NOT NULL,
    state        text NOT NULL,
    attempts     integer NOT NULL,
    due          timestamptz NOT NULL,
    error        text NOT NULL,
    traceback    text NOT NULL,
    blocks       boolean NOT NULL,
    PRIMARY KEY (handler, message_id)
);

CREATE INDEX deliveries_waiting ON happened.deliveries (subscription, partition, stream, position);

-- --------------------------------------------------------------------------------- numbering

-- A sequence number is drawn at the insert but seen at the commit, so a reader that remembers the
-- highest one it saw loses the messages of slow transactions. Therefore messages go in without a
-- global position, and get one here, after their commit, in the order of their rows.
--
-- Whoever reads calls this; there is no leader. A leader elected by a session lock keeps that lock
-- while its process is paused or its network is gone, and nobody is numbered until then. Here the
-- lock lives inside one statement that the server runs to its end on its own: no client can hold
-- it, and one that dies leaves nothing behind.
--
-- Each statement of a function that is volatile sees what was committed before that statement, in
-- READ COMMITTED: the second one sees all that others numbered before the lock was got. The row of
-- position n + 1 of a stream was inserted after the commit of position n, so that n has the smaller
-- row, and is there: each stream is numbered in order.
--
-- The numbering does not wait for the disk. Whatever is written because of it, such as a
-- checkpoint, stands behind it in the write-ahead log, so it is never there without it.
CREATE FUNCTION happened.number_messages(at_most integer, waiting boolean) RETURNS integer
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    last bigint;
    numbered integer;
BEGIN
    IF NOT EXISTS (SELECT FROM happened.messages WHERE global_position IS NULL) THEN
        RETURN 0;
    ELSIF waiting THEN
        PERFORM set_config('lock_timeout', '10s', true);
        PERFORM pg_advisory_xact_lock(1751216240, 'happened.messages'::regclass::oid::integer);
    ELSIF NOT pg_try_advisory_xact_lock(1751216240, 'happened.messages'::regclass::oid::integer)
    THEN
        RETURN 0;
    ELSE
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    -- A position that was given is not given again, even if somebody deleted the message by hand:
    -- subscriptions have read up to there.
    SELECT greatest(
        (SELECT max(global_position + 0) FROM happened.messages WHERE global_position IS NOT NULL),
        (SELECT max(position) FROM happened.category_ends),
        -1
    ) INTO last;
    WITH next AS (
        SELECT committed.row, last + row_number() OVER (ORDER BY committed.row) AS place
        FROM (
            SELECT m.row FROM happened.messages m WHERE m.global_position IS NULL
            ORDER BY m.row LIMIT at_most
        ) committed
    ), placed AS (
        UPDATE happened.messages m SET global_position = next.place FROM next
        WHERE m.row = next.row AND m.global_position IS NULL
        RETURNING m.category, m.partition, m.global_position
    ), ends AS (
        INSERT INTO happened.category_ends AS e (category, partition, position)
        SELECT p.category, p.partition, max(p.global_position) FROM placed p
        GROUP BY p.category, p.partition
        ON CONFLICT (partition, category) DO UPDATE SET position = excluded.position
    )
    SELECT count(*) INTO numbered FROM placed;
    RETURN numbered;
END $$;

-- ------------------------------------------------------------------------------------ commits

-- Refuse to change documents that have another version than expected; see commit_writes.
CREATE FUNCTION happened.check_versions(given json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    refused record;
BEGIN
    SELECT g.c || '-' || g.i AS stream, g.expected, coalesce(d.version, 0) AS found INTO refused
    FROM json_to_recordset(given) AS g(c text, i text, expected bigint)
    LEFT JOIN happened.documents d ON d.category = g.c AND d.id = g.i AND d.data IS NOT NULL
    WHERE d.version IS DISTINCT FROM g.expected LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'HP001', DETAIL = to_json(refused);
    END IF;
END $$;

-- Refuse to add a document whose identity was used before; see commit_writes.
CREATE FUNCTION happened.refuse_identity(category text, id text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    refused record;
BEGIN
    SELECT d.category, d.id, d.category || '-' || d.id AS stream, 0 AS expected,
        d.version AS found, d.data IS NULL AS removed
    INTO refused FROM happened.documents d
    WHERE d.category = refuse_identity.category AND d.id = refuse_identity.id;
    RAISE EXCEPTION USING DETAIL = to_json(refused),
        ERRCODE = CASE WHEN refused.removed THEN 'HP002' ELSE 'HP001' END;
END $$;

-- Write all that one transaction has collected, in one call: a commit is one statement, and one
-- way to the server and back. What is given is one JSON object, whose members may be missing:
--
--   removed      c, i, expected, forget: documents; "forget" leaves no trace, for what was added
--                in the same transaction
--   absent       c, i: documents that must not be there
--   changed      c, i, expected, v, n, d: documents with a new version, next position and data
--   released     the categories that have unique fields, if more than one document is changed
--   added        c, i, v, n, d: new documents
--   streams      s, p: the first position that is written in each stream
--   messages     in order
--   settled      handler, message_id
--   advanced     subscription, partition, position, expected
--   deferred     deliveries
--
-- Errors: HP001 another version than expected was found, with stream, expected and found as JSON
-- in the detail; HP002 an identity was used before, with category and id.
--
-- The planner knows neither how many rows a JSON value has nor, in a new table, how many are there;
-- a plan that reads the whole table is never right here.
CREATE FUNCTION happened.commit_writes(given json) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    part json;
    done bigint;
    refused record;
BEGIN
    part := given -> 'removed';
    IF part IS NOT NULL THEN
        PERFORM FROM happened.documents d
        JOIN json_to_recordset(part) AS g(c text, i text) ON d.category = g.c AND d.id = g.i
        ORDER BY d.category, d.id FOR UPDATE OF d;
        DELETE FROM happened.documents d
        USING json_to_recordset(part) AS g(c text, i text, expected bigint, forget boolean)
        WHERE g.forget AND d.category = g.c AND d.id = g.i AND d.version = g.expected
            AND d.data IS NOT NULL;
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done < json_array_length(part) THEN
            PERFORM happened.check_versions((
                SELECT json_agg(g) FROM json_array_elements(part) AS g
                WHERE NOT (g ->> 'forget')::boolean
            ));
            UPDATE happened.documents d SET data = NULL
            FROM json_to_recordset(part) AS g(c text, i text, forget boolean)
            WHERE NOT g.forget AND d.category = g.c AND d.id = g.i;
        END IF;
    END IF;

    part := given -> 'absent';
    IF part IS NOT NULL THEN
        SELECT g.c || '-' || g.i AS stream, 0 AS expected, d.version AS found INTO refused
        FROM json_to_recordset(part) AS g(c text, i text)
        JOIN happened.documents d ON d.category = g.c AND d.id = g.i AND d.data IS NOT NULL LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'HP001', DETAIL = to_json(refused);
        END IF;
    END IF;

    part := given -> 'changed';
    IF part IS NOT NULL THEN
        -- In one order for all, so that two that change the same documents wait, and do not block
        -- each other.
        IF json_array_length(part) > 1 THEN
            PERFORM FROM happened.documents d
            JOIN json_to_recordset(part) AS g(c text, i text) ON d.category = g.c AND d.id = g.i
            ORDER BY d.category, d.id FOR UPDATE OF d;
            PERFORM happened.check_versions(part);
            -- A unique index is checked row by row: what is exchanged has to be let go first.
            IF given -> 'released' IS NOT NULL THEN
                UPDATE happened.documents d SET data = '{}'
                FROM json_to_recordset(part) AS g(c text, i text)
                WHERE d.category = g.c AND d.id = g.i
                    AND g.c IN (SELECT json_array_elements_text(given -> 'released'));
            END IF;
        END IF;
        UPDATE happened.documents d SET version = g.v, next_position = g.n, data = g.d
        FROM json_to_recordset(part)
            AS g(c text, i text, expected bigint, v bigint, n bigint, d json)
        WHERE d.category = g.c AND d.id = g.i AND d.version = g.expected AND d.data IS NOT NULL;
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done < json_array_length(part) THEN
            PERFORM happened.check_versions(part);
        END IF;
    END IF;

    part := given -> 'added';
    IF part IS NOT NULL THEN
        IF json_array_length(part) = 1 THEN  -- what most commits do, in a smaller plan
            INSERT INTO happened.documents (category, id, version, next_position, data)
            SELECT g.c, g.i, g.v, g.n, g.d FROM json_to_record(part -> 0)
                AS g(c text, i text, v bigint, n bigint, d json)
            ON CONFLICT (category, id) DO NOTHING;
            GET DIAGNOSTICS done = ROW_COUNT;
            IF done = 0 THEN
                PERFORM happened.refuse_identity(part -> 0 ->> 'c', part -> 0 ->> 'i');
            END IF;
        ELSE
            WITH g AS (
                SELECT * FROM ROWS FROM (
                    json_to_recordset(part) AS (c text, i text, v bigint, n bigint, d json)
                ) WITH ORDINALITY AS g(c, i, v, n, d, place)
            ), inserted AS (
                INSERT INTO happened.documents (category, id, version, next_position, data)
                SELECT g.c, g.i, g.v, g.n, g.d FROM g ORDER BY g.place
                ON CONFLICT (category, id) DO NOTHING RETURNING category, id
            )
            SELECT happened.refuse_identity(g.c, g.i) INTO refused FROM g
            WHERE NOT EXISTS (
                SELECT FROM inserted WHERE inserted.category = g.c AND inserted.id = g.i
            ) LIMIT 1;
        END IF;
    END IF;

    part := given -> 'messages';
    IF part IS NOT NULL THEN
        SELECT ends.stream, ends.expected, ends.found INTO refused FROM (
            SELECT g.s AS stream, g.p AS expected, coalesce(
                (SELECT max(m.position) + 1 FROM happened.messages m WHERE m.stream = g.s), 0
            ) AS found
            FROM json_to_recordset(given -> 'streams') AS g(s text, p bigint)
        ) ends WHERE ends.expected <> ends.found LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'HP001', DETAIL = to_json(refused);
        END IF;
        INSERT INTO happened.messages (
            id, type, version, time, stream, category, partition, position,
            correlation_id, causation_id, origin_stream, headers, data, claims
        )
        SELECT g.id, g.type, g.version, g.time, g.stream, g.category, g.partition, g.position,
            g.correlation, g.causation, g.origin, g.headers, g.data, g.claims
        FROM ROWS FROM (json_to_recordset(part) AS (
            id text, type text, version integer, time timestamptz, stream text, category text,
            partition smallint, position bigint, correlation text, causation text, origin text,
            headers json, data json, claims text[]
        )) WITH ORDINALITY AS g(
            id, type, version, time, stream, category, partition, position,
            correlation, causation, origin, headers, data, claims, place
        )
        ORDER BY g.place;
    END IF;

    part := given -> 'settled';
    IF part IS NOT NULL THEN
        DELETE FROM happened.deliveries d
        USING json_to_recordset(part) AS g(handler text, message_id text)
        WHERE d.handler = g.handler AND d.message_id = g.message_id;
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done < json_array_length(part) THEN
            RAISE EXCEPTION USING ERRCODE = 'HP001', DETAIL = json_build_object(
                'stream', part -> 0 ->> 'handler', 'expected', 1, 'found', 0
            );
        END IF;
    END IF;

    part := given -> 'advanced';
    IF part IS NOT NULL THEN
        -- Locked first, so that it is as expected until the commit, claimed or not.
        PERFORM FROM happened.checkpoints c
        JOIN json_to_recordset(part) AS g(subscription text, partition smallint)
            ON c.subscription = g.subscription AND c.partition = g.partition
        ORDER BY c.subscription, c.partition FOR UPDATE OF c;
        SELECT g.subscription AS stream, g.expected,
            coalesce(c.position, 0) AS found
        INTO refused
        FROM json_to_recordset(part) AS g(
            subscription text, partition smallint, expected bigint
        )
        LEFT JOIN happened.checkpoints c
            ON c.subscription = g.subscription AND c.partition = g.partition
        WHERE g.expected IS NOT NULL AND c.position IS DISTINCT FROM g.expected LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'HP001', DETAIL = to_json(refused);
        END IF;
        INSERT INTO happened.checkpoints AS c (subscription, partition, position)
        SELECT g.subscription, g.partition, g.position FROM json_to_recordset(part) AS g(
            subscription text, partition smallint, position bigint
        )
        ON CONFLICT (subscription, partition)
            DO UPDATE SET position = excluded.position;
    END IF;

    part := given -> 'deferred';
    IF part IS NOT NULL THEN
        INSERT INTO happened.deliveries (
            handler, subscription, message_id, stream, partition, position,
            state, attempts, due, error, traceback, blocks
        )
        SELECT g.* FROM json_to_recordset(part) AS g(
            handler text, subscription text, message_id text, stream text, partition smallint,
            position bigint, state text, attempts integer, due timestamptz, error text,
            traceback text, blocks boolean
        )
        ON CONFLICT (handler, message_id) DO UPDATE SET
            subscription = excluded.subscription, stream = excluded.stream,
            partition = excluded.partition, position = excluded.position,
            state = excluded.state, attempts = excluded.attempts, due = excluded.due,
            error = excluded.error, traceback = excluded.traceback, blocks = excluded.blocks;
    END IF;
END $$;

-- Write what most transactions write: at most one document, one message, one settled delivery and
-- one checkpoint, whose partition the transaction has claimed.
-- It does for single rows what commit_writes does for any number, in a third of the time. What is
-- null is not there. Where something stands in the way, it writes nothing and fails with HP000 or
-- with the error of an index; commit_writes then finds out what it was.
CREATE FUNCTION happened.commit_one(
    category text, id text, expected bigint, version bigint, next_position bigint, data json,
    message_id text, type text, type_version integer, moment timestamptz, stream text,
    stream_category text, partition smallint, "position" bigint, correlation_id text,
    causation_id text, origin_stream text, headers json, message json, claims text[],
    settled_handler text, settled_message text,
    subscription text, subscription_partition smallint, read_before bigint, read_now bigint
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    IF expected = 0 THEN
        INSERT INTO happened.documents (category, id, version, next_position, data) VALUES (
            commit_one.category, commit_one.id, commit_one.version, commit_one.next_position,
            commit_one.data
        );
    ELSIF expected > 0 THEN
        UPDATE happened.documents d SET version = commit_one.version,
            next_position = commit_one.next_position, data = commit_one.data
        WHERE d.category = commit_one.category AND d.id = commit_one.id
            AND d.version = expected AND d.data IS NOT NULL;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'HP000';
        END IF;
    END IF;
    IF commit_one.message_id IS NOT NULL THEN
        IF commit_one.position > 0 AND NOT EXISTS (
            SELECT FROM happened.messages m
            WHERE m.stream = commit_one.stream AND m.position = commit_one.position - 1
        ) THEN
            RAISE EXCEPTION USING ERRCODE = 'HP000';
        END IF;
        INSERT INTO happened.messages (
            id, type, version, time, stream, category, partition, position,
            correlation_id, causation_id, origin_stream, headers, data, claims
        ) VALUES (
            commit_one.message_id, commit_one.type, type_version, moment, commit_one.stream,
            stream_category, commit_one.partition, commit_one.position,
            commit_one.correlation_id, commit_one.causation_id, commit_one.origin_stream,
            commit_one.headers, message, commit_one.claims
        );
        IF cardinality(commit_one.claims) > 0 THEN
            INSERT INTO happened.deliveries (
                handler, subscription, message_id, stream, partition, position,
                state, attempts, due, error, traceback, blocks
            )
            SELECT handler, split_part(handler, '.', 1), commit_one.message_id, commit_one.stream,
                commit_one.partition, commit_one.position, 'pending', 0, clock_timestamp(), '', '',
                true
            FROM unnest(commit_one.claims) AS handler;
        END IF;
    END IF;
    IF settled_handler IS NOT NULL THEN
        DELETE FROM happened.deliveries d
        WHERE d.handler = settled_handler AND d.message_id = settled_message;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'HP000';
        END IF;
    END IF;
    IF commit_one.subscription IS NOT NULL THEN
        UPDATE happened.checkpoints c SET position = read_now
        WHERE c.subscription = commit_one.subscription
            AND c.partition = subscription_partition AND c.position = read_before;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'HP000';
        END IF;
    END IF;
END $$;

-- -------------------------------------------------------------------------------------- claims

-- The next messages of a partition, in the order of their positions, read in each category by the
-- index. The planner has no figures of a table that is new or has just grown: it might sort all
-- that is left to be read.
CREATE FUNCTION happened.read_partition(
    wanted smallint, start bigint, categories text[], at_most integer
) RETURNS SETOF happened.messages LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT found.* FROM happened.category_ends e CROSS JOIN LATERAL (
        SELECT m.* FROM happened.messages m
        WHERE m.category = e.category AND m.partition = wanted AND m.global_position >= start
        ORDER BY m.global_position LIMIT at_most
    ) AS found
    WHERE e.partition = wanted AND e.position >= start
        AND (categories IS NULL OR e.category = ANY (categories))
    ORDER BY found.global_position LIMIT at_most;
END $$;

-- Take the partition of a subscription that is read the least far, has something to do, and is
-- nobody else's; read what is next in it, in the same way to the server and back. The lock of its
-- checkpoint's row is the lock of the partition: it ends with the transaction, and so with the
-- connection, and there is no lease to renew.
--
-- A hint names a partition where something is new; if there is, it is taken instead. To look at one
-- costs less than to look at all of them.
--
-- Its statements are planned once in each connection. Left to itself, the planner takes a guess for
-- the better plan, and makes it anew in each call: that took longer than to run it.
CREATE FUNCTION happened.claim_partition(
    wanted text, categories text[], due_by timestamptz, pending_by timestamptz, at_most integer,
    hint smallint
) RETURNS TABLE (
    partition smallint, "position" bigint, unread boolean, waiting json, message happened.messages
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    last bigint;
    has_messages boolean;
BEGIN
    IF hint IS NOT NULL THEN
        SELECT c.partition, c.position INTO partition, position FROM happened.checkpoints c
        WHERE c.subscription = wanted AND c.partition = hint AND EXISTS (
            SELECT FROM happened.category_ends e
            WHERE e.partition = hint AND e.position >= c.position
                AND (categories IS NULL OR e.category = ANY (categories))
        )
        FOR UPDATE OF c SKIP LOCKED;
    END IF;
    IF partition IS NOT NULL THEN
        NULL;  -- found where the news came from
    ELSIF EXISTS (SELECT FROM happened.deliveries d WHERE d.subscription = wanted) THEN
        SELECT c.partition, c.position INTO partition, position
        FROM happened.checkpoints c
        WHERE c.subscription = wanted AND (
            EXISTS (
                SELECT FROM happened.category_ends e
                WHERE e.partition = c.partition AND e.position >= c.position
                    AND (categories IS NULL OR e.category = ANY (categories))
            )
            OR EXISTS (
                SELECT FROM happened.deliveries d
                WHERE d.subscription = wanted AND d.partition = c.partition
                    AND CASE d.state
                        WHEN 'held' THEN true
                        WHEN 'pending' THEN d.due <= pending_by
                        WHEN 'retrying' THEN d.due <= due_by
                        ELSE false
                    END
                    AND NOT (d.blocks AND EXISTS (
                        SELECT FROM happened.deliveries earlier
                        WHERE earlier.subscription = wanted AND earlier.partition = c.partition
                            AND earlier.stream = d.stream AND earlier.position < d.position
                            AND earlier.blocks
                    ))
            )
        )
        ORDER BY c.position, c.partition
        FOR UPDATE OF c SKIP LOCKED LIMIT 1;
    ELSE  -- most of the time
        SELECT c.partition, c.position INTO partition, position
        FROM happened.checkpoints c JOIN happened.category_ends e ON e.partition = c.partition
        WHERE c.subscription = wanted AND e.position >= c.position
            AND (categories IS NULL OR e.category = ANY (categories))
        ORDER BY c.position, c.partition
        FOR UPDATE OF c SKIP LOCKED LIMIT 1;
    END IF;
    IF partition IS NULL THEN
        RETURN;
    END IF;
    -- New statements, which see what others did until they let go of the partition. The messages
    -- come first: what waits for one of them is seen then, and its stream waits with it.
    IF at_most > 0 AND cardinality(categories) = 1 THEN  -- most of the time: a smaller plan
        RETURN QUERY
        SELECT claim_partition.partition, claim_partition.position, true, waiting, m
        FROM happened.messages m
        WHERE m.category = categories[1] AND m.partition = claim_partition.partition
            AND m.global_position >= claim_partition.position
        ORDER BY m.global_position LIMIT at_most;
    ELSIF at_most > 0 THEN
        RETURN QUERY
        SELECT claim_partition.partition, claim_partition.position, true, waiting, m
        FROM happened.read_partition(
            claim_partition.partition, claim_partition.position, categories, at_most
        ) m;
    END IF;
    has_messages := FOUND AND at_most > 0;
    IF EXISTS (
        SELECT FROM happened.deliveries d
        WHERE d.subscription = wanted AND d.partition = claim_partition.partition
    ) THEN
        SELECT json_agg(json_build_array(
            d.handler, d.subscription, d.message_id, d.stream, d.position, d.state, d.attempts,
            d.due AT TIME ZONE 'UTC', d.error,
            CASE d.state WHEN 'dead' THEN '' ELSE d.traceback END, d.blocks
        )) INTO waiting
        FROM happened.deliveries d
        WHERE d.subscription = wanted AND d.partition = claim_partition.partition
            AND (d.state <> 'dead' OR d.blocks);
        RETURN NEXT;  -- a row of its own: it may be long, and is not to come with each message
        waiting := NULL;
    END IF;
    IF NOT has_messages THEN
        SELECT max(e.position) INTO last FROM happened.category_ends e
        WHERE e.partition = claim_partition.partition AND e.position >= claim_partition.position
            AND (categories IS NULL OR e.category = ANY (categories));
        unread := last IS NOT NULL;
        -- Where that is so and nothing is there, even now, somebody has deleted it by hand.
        IF unread AND at_most > 0 AND NOT EXISTS (
            SELECT FROM happened.read_partition(
                claim_partition.partition, claim_partition.position, categories, 1
            )
        ) THEN
            UPDATE happened.checkpoints c SET position = last + 1
            WHERE c.subscription = wanted AND c.partition = claim_partition.partition;
            unread := false;
        END IF;
        RETURN NEXT;
    END IF;
END $$;

-- Take the partition that news came from, if it is nobody else's and something is unread there;
-- read what is next, if nothing waits there. That is what a server does most of the time, when it
-- has nothing to catch up with, and it takes less time than claim_partition. Where this returns
-- nothing, that one is asked, in the same transaction: the partition may have been taken already.
CREATE FUNCTION happened.claim_news(
    wanted text, category text, partition smallint, at_most integer
) RETURNS TABLE ("position" bigint, message happened.messages) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    SELECT c.position INTO position FROM happened.checkpoints c
    WHERE c.subscription = wanted AND c.partition = claim_news.partition AND EXISTS (
        SELECT FROM happened.category_ends e
        WHERE e.partition = claim_news.partition AND e.category = claim_news.category
            AND e.position >= c.position
    )
    FOR UPDATE OF c SKIP LOCKED;
    IF FOUND THEN
        -- A new statement, which sees what others did until they let go of the partition. One for
        -- both: a message that it sees, it sees with what waits for it.
        RETURN QUERY
        SELECT claim_news.position, m FROM happened.messages m
        WHERE m.category = claim_news.category AND m.partition = claim_news.partition
            AND m.global_position >= claim_news.position
            AND NOT EXISTS (
                SELECT FROM happened.deliveries d
                WHERE d.subscription = wanted AND d.partition = claim_news.partition
            )
        ORDER BY m.global_position LIMIT at_most;
    END IF;
END $$;

-- How many messages a subscription has not read, and when the oldest of them was made. The ends of
-- the categories say where there are any: it costs what is left, and not what lies there.
CREATE FUNCTION happened.backlog(
    wanted text, categories text[], OUT messages bigint, OUT since timestamptz
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    SELECT count(*), min(unread.time) INTO messages, since FROM (
        SELECT m.time FROM happened.checkpoints c
        JOIN happened.category_ends e ON e.partition = c.partition AND e.position >= c.position
        JOIN happened.messages m ON m.category = e.category AND m.partition = e.partition
            AND m.global_position >= c.position
        WHERE c.subscription = wanted AND (categories IS NULL OR e.category = ANY (categories))
        UNION ALL
        SELECT m.time FROM happened.messages m
        JOIN happened.checkpoints c ON c.partition = m.partition
        WHERE m.global_position IS NULL AND c.subscription = wanted
            AND (categories IS NULL OR m.category = ANY (categories))
    ) unread;
END $$;

-- ------------------------------------------------------------------------------------- queries

-- The instant that a text in ISO 8601 names; UTC where it does not say, whatever the session's
-- time zone is.
CREATE FUNCTION happened.moment(given text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN given ~ 'T.*(Z|[+-][0-9:]+)$' THEN given::timestamptz
        ELSE given::timestamp AT TIME ZONE 'UTC'
    END
$$;

-- Text in small letters, beyond ASCII, where this PostgreSQL was built with ICU (most are).
DO $do$
BEGIN
    IF EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') THEN
        CREATE FUNCTION happened.lowered(given text) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT lower(given COLLATE "und-x-icu") COLLATE "C" $$;
    ELSE
        CREATE FUNCTION happened.lowered(given text) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT lower(given COLLATE "default") COLLATE "C" $$;
    END IF;
END $do$;
