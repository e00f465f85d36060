-- What only 18 knows.
CREATE TABLE p.virtual (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL);
CREATE TABLE p.enforced (a int CONSTRAINT must CHECK (a > 0));
CREATE TABLE p.named (a int CONSTRAINT mine NOT NULL, b int NOT NULL);
