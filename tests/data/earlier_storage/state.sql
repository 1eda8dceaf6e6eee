PRAGMA user_version=0;
BEGIN TRANSACTION;
CREATE TABLE gate_clock (latest INTEGER NOT NULL) STRICT;
INSERT INTO "gate_clock" VALUES(1795907495749236);
CREATE TABLE ledgers (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            path TEXT NOT NULL UNIQUE,
            job_id TEXT NOT NULL
        ) STRICT;
INSERT INTO "ledgers" VALUES(1,'/earlier/jobs/there/cost_ledger.jsonl','there');
INSERT INTO "ledgers" VALUES(2,'/earlier/jobs/gone/cost_ledger.jsonl','gone');
CREATE TABLE reservations (
            id TEXT PRIMARY KEY,
            period_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL,
            user_id TEXT NOT NULL,
            job_id TEXT,
            ledger TEXT,
            stage TEXT,
            service TEXT NOT NULL,
            model TEXT NOT NULL,
            estimate INTEGER NOT NULL,
            one_call INTEGER NOT NULL,
            holder TEXT NOT NULL,
            orphaned TEXT
        ) STRICT, WITHOUT ROWID;
INSERT INTO "reservations" VALUES('01a2246da7455af4f44b9f71ef2e',1795907495749236,1795911095749663,'1','there','/earlier/jobs/there/cost_ledger.jsonl',NULL,'openai','gpt-4o',260000000,1,'23845-5253cb871753399a',NULL);
CREATE TABLE sweep (token INTEGER NOT NULL, origin INTEGER NOT NULL) STRICT;
INSERT INTO "sweep" VALUES(0,-7614699205274884062);
CREATE TABLE versions (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;
INSERT INTO "versions" VALUES('ledgers',1);
INSERT INTO "versions" VALUES('reservations',1);
CREATE TABLE writers (
            holder TEXT NOT NULL,
            ledger INTEGER NOT NULL REFERENCES ledgers (id),
            PRIMARY KEY (holder, ledger)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "writers" VALUES('23831-b77c9b4e96f00f98',1);
INSERT INTO "writers" VALUES('23831-f1fc7577f70106d1',2);
INSERT INTO "writers" VALUES('23860-e7350d74e3d7b220',1);
CREATE INDEX ledgers_by_job ON ledgers (job_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('ledgers',2);
COMMIT;
