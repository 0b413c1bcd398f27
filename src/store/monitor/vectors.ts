import type { MonitorDatabase } from './database.ts';

/** Row numbers by name, of each connection; names are never taken back. */
const known = new WeakMap<MonitorDatabase, Map<string, number>>();

/** The row numbers of vectors' names, which are given where there are none yet. Call it within a transaction. */
export function nameVectors(db: MonitorDatabase, names: readonly string[]): ReadonlyMap<string, number> {
  const all = new Map<string, number>();
  for (const name of names) if (!all.has(name)) all.set(name, vectorId(db, name) ?? addVector(db, name));
  return all;
}

/** The row number of a vector's name; null where no turn has had it. */
export function vectorId(db: MonitorDatabase, name: string): number | null {
  const cached = known.get(db)?.get(name);
  if (cached !== undefined) return cached;
  const found = db.first(db.build.selectFrom('vectors').select('vid').where('name', '=', name));
  return found === undefined ? null : found.vid;
}

/** Forgets and reads again what is committed. A number that was given in a transaction that failed is none. */
export function rememberVectors(db: MonitorDatabase): void {
  const rows = db.all(db.build.selectFrom('vectors').select(['vid', 'name']));
  known.set(db, new Map(rows.map(({ vid, name }) => [name, vid])));
}

function addVector(db: MonitorDatabase, name: string): number {
  return db.first(db.build.insertInto('vectors').values({ name }).returning('vid'))!.vid;
}
