import {
  type Compilable,
  DummyDriver,
  Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import Database from 'libsql';
import { StoreError } from '../../errors.ts';
import { applicationId, migrations, type Tables } from './schema.ts';

/** Pages that the file may not shrink by at once, so that nobody waits for it. */
const pagesAtOnce = 2000;
/** Bytes of the write-ahead log that stay on the disk after a checkpoint. */
const journalBytes = 16 * 1024 * 1024;

type Statement = Database.Statement<unknown[]>;

/** A connection to a store: queries are built by Kysely, which types them, and run at once, without promises. */
export class MonitorDatabase {
  readonly build: Kysely<Tables> = new Kysely<Tables>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  });
  private readonly connection: Database.Database;
  private readonly statements = new Map<string, Statement>();

  private constructor(connection: Database.Database) {
    this.connection = connection;
  }

  /**
   * Opens a store, or makes one: only its owner can read the file. A store of an older version is brought up to this one.
   *
   * @throws StoreError where the file is no store, is of a newer version, or cannot be opened.
   */
  static open(file: string): MonitorDatabase {
    return asStoreError(file, () => {
      const connection = new Database(file, { timeout: 5 });
      try {
        prepare(connection, file);
        return new MonitorDatabase(connection);
      } catch (error) {
        connection.close();
        throw error;
      }
    });
  }

  /** A connection that only reads, to a store that is open already. */
  static openToRead(file: string): MonitorDatabase {
    return asStoreError(file, () => {
      const connection = new Database(file, { timeout: 5 });
      connection.exec('PRAGMA query_only = 1');
      return new MonitorDatabase(connection);
    });
  }

  all<Row>(query: Compilable<Row>): Row[] {
    const { sql, parameters } = query.compile();
    return this.statement(sql).all([...parameters]) as Row[];
  }

  first<Row>(query: Compilable<Row>): Row | undefined {
    return this.all(query)[0];
  }

  run(query: Compilable): void {
    const { sql, parameters } = query.compile();
    this.statement(sql).run([...parameters]);
  }

  /** Rows of a query in SQL, such as a pragma. */
  rows(sql: string, parameters: readonly unknown[] = []): Record<string, unknown>[] {
    return this.statement(sql).all([...parameters]) as Record<string, unknown>[];
  }

  /** All of it or nothing; what `work` throws is thrown. */
  transaction<T>(work: () => T): T {
    this.connection.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.connection.exec('COMMIT');
      return result;
    } catch (error) {
      // SQLite may have rolled back itself, as where the disk is full.
      if (this.connection.inTransaction) this.connection.exec('ROLLBACK');
      throw error;
    }
  }

  /** Bytes that are in use. */
  get bytes(): number {
    const pragma = (name: string): number => Number(this.rows(`PRAGMA ${name}`)[0]![name]);
    return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
  }

  /** Gives pages that are free back to the disk, some at a time. */
  shrink(): void {
    this.rows(`PRAGMA incremental_vacuum(${pagesAtOnce})`);
  }

  /** Brings the log into the file, so that what was removed is in neither. */
  checkpoint(): void {
    this.rows('PRAGMA wal_checkpoint(TRUNCATE)');
  }

  close(): void {
    this.statements.clear();
    this.connection.close();
  }

  private statement(sql: string): Statement {
    const known = this.statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.connection.prepare(sql);
    this.statements.set(sql, statement);
    return statement;
  }
}

function prepare(connection: Database.Database, file: string): void {
  const pragma = (name: string): number =>
    (connection.pragma(name) as Record<string, number>[])[0]?.[name] ?? 0;
  const version = pragma('user_version');
  const foreign = version > 0 && pragma('application_id') !== applicationId;
  const filled =
    (connection.prepare('SELECT name FROM sqlite_schema LIMIT 1').all([]) as object[]).length > 0;
  if (foreign || (version === 0 && filled))
    throw new StoreError(
      `"${file}" is a database of another program; name another file with --store, which is made where there is none.`,
      { details: { file } },
    );
  if (version > migrations.length)
    throw new StoreError(
      `"${file}" was written by a newer version of this package (its schema is ${version}, and ${migrations.length} is known here); update, or name another file with --store.`,
      { details: { file, version } },
    );
  connection.exec('PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL');
  // A reply waits for its commit and is then safe from a power cut; commits that come together share one.
  connection.exec(
    `PRAGMA synchronous = FULL; PRAGMA journal_size_limit = ${journalBytes}; PRAGMA secure_delete = ON`,
  );
  for (let step = version; step < migrations.length; step++)
    connection.exec(
      `BEGIN IMMEDIATE; ${migrations[step]!}; PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${step + 1}; COMMIT`,
    );
}

function asStoreError<T>(file: string, open: () => T): T {
  try {
    return open();
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    const { code } = cause as { code?: string };
    const why =
      code === 'SQLITE_NOTADB' ? 'it is no database' : cause instanceof Error ? cause.message : String(cause);
    throw new StoreError(`Could not open the store "${file}": ${why}; name another file with --store.`, {
      details: { file },
      cause,
    });
  }
}
