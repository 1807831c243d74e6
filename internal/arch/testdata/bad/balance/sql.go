package balance

import "database/sql"

const load = `SELECT id FROM accounts`

var _ *sql.DB
