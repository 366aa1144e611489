/**
 * `lakewright.toml`, as far as the infrastructure follows from it: names, prefixes, tables.
 *
 * The shape is checked against docs/lakewright.schema.json, which comes from the Rust structs; the rules
 * between entries are those of `Config::check` in shared/core/src/config.rs, plus what S3 asks of the
 * prefix of a notification.
 */
import { existsSync, readFileSync } from 'node:fs';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { parse } from 'smol-toml';
import { contains, formatLocation, parseLocation, type Location } from './location.ts';

export interface Config {
  readonly rekey: readonly RekeyConfig[];
  readonly split: readonly SplitConfig[];
  readonly compact: readonly CompactConfig[];
  readonly repartition: readonly RepartitionConfig[];
}

/** Attributes of the objects that a job writes. */
export interface Stored {
  /** Whether they have tags. */
  readonly tagged: boolean;
  /** How they are encrypted, where the job says so. */
  readonly encryptionAlgorithm?: string;
  /** The id, ARN or alias of the KMS key that they are encrypted with, where the job names one. */
  readonly encryptionKey?: string;
}

export interface RekeyConfig extends Stored {
  readonly name: string;
  readonly source: Location;
  readonly target: Location;
  readonly table?: TableName;
  /** Where records go besides, by the value of a field: each has a table of its own. */
  readonly routes: readonly RouteConfig[];
  readonly batch: BatchConfig;
  readonly sweep: SweepConfig;
  /** Whether fields without a column become columns of the table. */
  readonly addsColumns: boolean;
  /** The names of the secrets that columns are hashed with. */
  readonly secrets: readonly string[];
}

/** Where the records with one value go. */
export interface RouteConfig {
  readonly value: string;
  readonly target: Location;
  readonly table: TableName;
}

/** What the queue hands over together. */
export interface BatchConfig {
  /** Seconds that it waits for more. */
  readonly window: number;
  readonly objects: number;
}

/** When a source is looked through for objects whose event was lost, and how far back. */
export interface SweepConfig {
  /** `off`, or as EventBridge Scheduler takes it. */
  readonly schedule: string;
  /** Objects that landed before this time are ignored; by default the time of the job's deployment. */
  readonly since?: string;
  readonly days: number;
}

export interface SplitConfig extends Stored {
  readonly name: string;
  readonly target: Location;
  /** Where results may lie. */
  readonly sources: readonly Location[];
  /** Whether they may be anywhere in the account instead. */
  readonly allowsAnySource: boolean;
}

/** A compact job: for a table's partitions, or in place for the objects under a prefix. */
export interface CompactConfig extends Stored {
  readonly table?: TableName;
  readonly target?: Location;
  /** The prefix of the table's new directories; by default beside the table. */
  readonly generations?: Location;
  /** The prefix of its ledger; by default in the table or below the target. */
  readonly ledger?: Location;
  /** `off`, or as EventBridge Scheduler takes it. */
  readonly schedule: string;
  /** Whether the first run says what would be done, and does nothing. */
  readonly dryRunFirst: boolean;
}

export interface RepartitionConfig extends Stored {
  readonly name: string;
  readonly source: TableName | Location;
  readonly target: Location;
  /** The table over what it writes. */
  readonly table?: TableName;
  /** Whether it creates and changes that table. */
  readonly managesTable: boolean;
  /** Whether a source whose location is not known may be read in every bucket of the account. */
  readonly allowsAnySource: boolean;
  /** The names of the secrets that columns are hashed with. */
  readonly secrets: readonly string[];
}

export interface TableName {
  readonly database: string;
  readonly table: string;
}

/** An invalid configuration; the message says what to change. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export function loadConfig(path: string): Config {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code}): name the file with -c config=…`,
    );
  }
  return parseConfig(text, path);
}

export function parseConfig(text: string, file = 'lakewright.toml'): Config {
  try {
    const config = readShape(text);
    checkRules(config);
    return config;
  } catch (error) {
    throw error instanceof ConfigError ? new ConfigError(`${file}: ${error.message}`) : error;
  }
}

interface RawStored {
  readonly tags?: Record<string, string>;
  readonly encryption?: { algorithm: string; key?: string };
}

interface RawColumn {
  readonly hash?: { secret: string };
}

interface RawConfig {
  readonly rekey?: readonly ({
    name: string;
    source: string;
    target: string;
    table?: string;
    on_unknown?: string;
    batch?: { window?: string; objects?: number };
    sweep?: { schedule?: string; since?: string; days?: number };
    column?: readonly RawColumn[];
    route?: { tables: Record<string, { target: string; table: string; column?: readonly RawColumn[] }> };
  } & RawStored)[];
  readonly split?: readonly ({
    name: string;
    target: string;
    sources?: string[];
    allow_any_source?: boolean;
  } & RawStored)[];
  readonly compact?: readonly ({
    table?: string;
    target?: string;
    generations?: string;
    ledger?: string;
    schedule?: string;
    dry_run_first?: boolean;
  } & RawStored)[];
  readonly repartition?: readonly ({
    name: string;
    source: string;
    target: string;
    table?: string;
    manage_table?: boolean;
    allow_any_source?: boolean;
    columns?: readonly (string | RawColumn)[];
  } & RawStored)[];
}

/** Beside the code in the package, and where the Rust structs publish it in the repository. */
const schema = ['./lakewright.schema.json', '../../docs/lakewright.schema.json']
  .map((path) => new URL(path, import.meta.url))
  .find((url) => existsSync(url))!;
/** Rust's unsigned integers, which the schema's `minimum` keeps from being negative. */
const unsigned = (bits: number) => ({ type: 'number' as const, validate: (n: number) => n < 2 ** bits });
/** Rust's signed integers, as far as JavaScript's numbers tell. */
const signed = (bits: number) => ({ type: 'number' as const, validate: (n: number) => n >= -(2 ** (bits - 1)) && n < 2 ** (bits - 1) });

const conforms = new Ajv2020({
  allErrors: true,
  allowUnionTypes: true,
  formats: { uint8: unsigned(8), uint16: unsigned(16), uint32: unsigned(32), uint64: unsigned(64), int64: signed(64) },
}).compile<RawConfig>(JSON.parse(readFileSync(schema, 'utf8')));

function readShape(text: string): Config {
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    throw new ConfigError((error as Error).message);
  }
  if (!conforms(raw)) {
    throw new ConfigError([...new Set((conforms.errors ?? []).flatMap(describe))].join('\n'));
  }
  return {
    rekey: (raw.rekey ?? []).map((job) => ({
      name: job.name,
      source: readPrefix(`rekey \`${job.name}\``, 'source', job.source),
      target: readPrefix(`rekey \`${job.name}\``, 'target', job.target),
      table: job.table === undefined ? undefined : readTable(`rekey \`${job.name}\``, 'table', job.table),
      routes: Object.entries(job.route?.tables ?? {}).map(([value, route]) => {
        const title = `rekey \`${job.name}\`, route \`${value}\``;
        return { value, target: readPrefix(title, 'target', route.target), table: readTable(title, 'table', route.table) };
      }),
      addsColumns: job.on_unknown === 'add',
      batch: readBatch(`rekey \`${job.name}\``, job.batch),
      sweep: readSweep(`rekey \`${job.name}\``, job.sweep),
      secrets: readSecrets([job, ...Object.values(job.route?.tables ?? {})].flatMap(({ column }) => column ?? [])),
      ...readStored(job),
    })),
    split: (raw.split ?? []).map((job) => ({
      name: job.name,
      target: readPrefix(`split \`${job.name}\``, 'target', job.target),
      sources: (job.sources ?? []).map((source) => readLocation(`split \`${job.name}\``, 'sources', source)),
      allowsAnySource: job.allow_any_source ?? false,
      ...readStored(job),
    })),
    compact: (raw.compact ?? []).map((job) => {
      const title = `compact \`${job.table ?? job.target ?? '?'}\``;
      const prefix = (field: 'target' | 'generations' | 'ledger') =>
        job[field] === undefined ? undefined : readPrefix(title, field, job[field]);
      if ((job.table === undefined) === (job.target === undefined)) {
        throw new ConfigError(`${title}: write either table = "database.table", or mode = "in_place" with a target`);
      }
      return {
        table: job.table === undefined ? undefined : readTable(title, 'table', job.table),
        target: prefix('target'),
        generations: prefix('generations'),
        ledger: prefix('ledger'),
        schedule: job.schedule ?? DAILY,
        dryRunFirst: job.dry_run_first ?? true,
        ...readStored(job),
      };
    }),
    repartition: (raw.repartition ?? []).map((job) => {
      const title = `repartition \`${job.name}\``;
      return {
        name: job.name,
        source: job.source.includes('://')
          ? readPrefix(title, 'source', job.source)
          : readTable(title, 'source', job.source),
        target: readPrefix(title, 'target', job.target),
        table: job.table === undefined ? undefined : readTable(title, 'table', job.table),
        managesTable: job.manage_table ?? false,
        allowsAnySource: job.allow_any_source ?? false,
        secrets: readSecrets(job.columns),
        ...readStored(job),
      };
    }),
  };
}

/** How often sweep and compact run by default. */
const DAILY = 'rate(1 day)';

function readSweep(job: string, { schedule = DAILY, since, days = 3 }: { schedule?: string; since?: string; days?: number } = {}): SweepConfig {
  if (since !== undefined && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(since)) {
    throw new ConfigError(`${job}: sweep: since = "${since}" is not a time in UTC: write 2026-05-01T00:00:00Z`);
  }
  return { schedule, since, days };
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600 };

/** Seconds, from a duration as the functions read it: `90s`, `5m` or `1m 30s`, units also in words. */
function readSeconds(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+)\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b[\s,]*/gy)];
  const isWhole = parts.map(([part]) => part).join('') === text && parts.length > 0;
  return isWhole ? parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNITS[unit![0]!]!, 0) : undefined;
}

/** What Lambda's event source mappings can do: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html */
function readBatch(job: string, { window: text = '60s', objects = 1_000 }: { window?: string; objects?: number } = {}): BatchConfig {
  const window = readSeconds(text);
  if (window === undefined || window > 300) {
    throw new ConfigError(`${job}: batch.window = "${text}": Lambda waits for whole seconds, from "0s" to "300s"`);
  }
  if (objects < 1 || objects > 10_000) {
    throw new ConfigError(`${job}: batch.objects = ${objects}: write 1 to 10000`);
  }
  return { window, objects };
}

function readSecrets(columns: readonly (string | RawColumn)[] = []): string[] {
  const named = columns.flatMap((column) => (typeof column === 'string' || column.hash === undefined ? [] : [column.hash.secret]));
  return [...new Set(named)];
}

function readStored({ tags = {}, encryption }: RawStored): Stored {
  return { tagged: Object.keys(tags).length > 0, encryptionAlgorithm: encryption?.algorithm, encryptionKey: encryption?.key };
}

function describe({ instancePath, keyword, params, message }: ErrorObject): string[] {
  const where = instancePath.slice(1).replaceAll(/\/(\d+)/g, '[$1]').replaceAll('/', '.');
  const at = where === '' ? '' : `${where}: `;
  switch (keyword) {
    case 'additionalProperties':
      return [`${at}unknown key \`${params['additionalProperty']}\``];
    case 'required':
      return [`${at}missing key \`${params['missingProperty']}\``];
    case 'pattern':
      return where.endsWith('.secret')
        ? [`${at}names no secret: write secretsmanager:NAME or ssm:/PATH/NAME`]
        : [`${at}is neither off nor a schedule: write rate(12 hours) or cron(0 3 * * ? *)`];
    case 'const':
      return [`${at}may be "${params['allowedValue']}"`];
    case 'oneOf':
    case 'anyOf':
      return [];
    default:
      return [`${at}${message}`];
  }
}

function readLocation(job: string, field: string, text: string): Location {
  const location = parseLocation(text);
  if (!location) {
    throw new ConfigError(`${job}: ${field} = "${text}" is not an S3 location: write s3://bucket/prefix/`);
  }
  return location;
}

function readPrefix(job: string, field: string, text: string): Location {
  const location = readLocation(job, field, text);
  if (location.key !== '' && !location.key.endsWith('/')) {
    throw new ConfigError(`${job}: ${field} = "${text}" must end with \`/\``);
  }
  return location;
}

function readTable(job: string, field: string, text: string): TableName {
  const table = parseTable(text);
  if (!table) {
    throw new ConfigError(`${job}: ${field} = "${text}" is not a table name: write it as database.table`);
  }
  return table;
}

/** Reads `database.table`. */
export function parseTable(text: string): TableName | undefined {
  const [database, table, ...rest] = text.split('.');
  return database && table && rest.length === 0 ? { database, table } : undefined;
}

export function formatTable({ database, table }: TableName): string {
  return `${database}.${table}`;
}

/** The name of a compact job: its table or its target. */
export function subjectOf({ table, target }: CompactConfig): string {
  return table ? formatTable(table) : target ? formatLocation(target) : '';
}

/**
 * Other characters would have to be percent-encoded in the filter of a notification.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
 */
const FILTER_SAFE = /^[A-Za-z0-9/!_.'()-]*$/;

function checkRules({ rekey, split, compact, repartition }: Config): void {
  const names = [...rekey, ...split, ...repartition].map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) {
    throw new ConfigError(`two jobs are named \`${twice}\`: names are unique`);
  }
  rekey.forEach((job, index) => {
    if (!FILTER_SAFE.test(job.source.key)) {
      throw new ConfigError(
        `rekey \`${job.name}\`: source ${formatLocation(job.source)} has a character that S3 notifications do not ` +
          'filter by verbatim: use letters, digits and / ! _ . \' ( ) - only, or a shorter prefix',
      );
    }
    for (const other of rekey) {
      for (const { target } of [job, ...job.routes]) {
        if (contains(other.source, target)) {
          throw new ConfigError(
            `rekey \`${job.name}\`: target ${formatLocation(target)} lies inside source ` +
              `${formatLocation(other.source)} (of \`${other.name}\`), so its output would trigger it again: ` +
              'choose a target outside',
          );
        }
      }
    }
    for (const other of rekey.slice(0, index)) {
      if (contains(other.source, job.source) || contains(job.source, other.source)) {
        throw new ConfigError(`rekey \`${other.name}\` and \`${job.name}\` have overlapping sources`);
      }
    }
  });
  for (const { name, sources, allowsAnySource } of split) {
    if (sources.length === 0 && !allowsAnySource) {
      throw new ConfigError(
        `split \`${name}\`: sources is missing: name the prefixes that results are taken from, or write ` +
          'allow_any_source = true to read every bucket of the account',
      );
    }
    if (sources.length > 0 && allowsAnySource) {
      throw new ConfigError(`split \`${name}\`: allow_any_source has no meaning beside sources: write one`);
    }
  }
  const subjects = compact.map(subjectOf);
  const again = subjects.find((subject, index) => subjects.indexOf(subject) < index);
  if (again !== undefined) {
    throw new ConfigError(`compact \`${again}\`: two jobs compact it: write one`);
  }
  const written = [
    ...split.map(({ name, target }) => ({ job: `split \`${name}\``, what: 'target', prefix: target, reads: 'row' })),
    ...compact.map((job) => ({
      job: `compact \`${subjectOf(job)}\``,
      what: job.target ? 'target' : 'generations',
      prefix: job.target ?? job.generations,
      reads: 'file',
    })),
    ...repartition.map(({ name, target }) => ({
      job: `repartition \`${name}\``,
      what: 'target',
      prefix: target,
      reads: 'file',
    })),
  ];
  for (const { job, what, prefix, reads } of written) {
    const other = prefix && rekey.find(({ source }) => contains(source, prefix));
    if (other) {
      throw new ConfigError(
        `${job}: ${what} ${formatLocation(prefix)} lies inside the source of rekey ` +
          `\`${other.name}\`, which would read every ${reads}: choose a ${what === 'target' ? 'target' : 'prefix'} outside`,
      );
    }
  }
}
