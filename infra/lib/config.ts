/**
 * `lakewright.toml`, as far as the infrastructure follows from it: names, prefixes, tables.
 *
 * The shape is checked against docs/lakewright.schema.json, which comes from the Rust structs; the rules
 * between entries are those of `Config::check` in shared/core/src/config.rs, plus what S3 asks of the
 * prefix of a notification.
 */
import { readFileSync } from 'node:fs';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { parse } from 'smol-toml';
import { contains, formatLocation, parseLocation, type Location } from './location.ts';

export interface Config {
  readonly rekey: readonly RekeyConfig[];
  readonly split: readonly SplitConfig[];
}

export interface RekeyConfig {
  readonly name: string;
  readonly source: Location;
  readonly target: Location;
  readonly table?: TableName;
}

export interface SplitConfig {
  readonly name: string;
  readonly target: Location;
  /** Where results may lie; anywhere, where there are none. */
  readonly sources: readonly Location[];
  /** Whether its objects have tags. */
  readonly tagged: boolean;
  /** The id, ARN or alias of the KMS key that its objects are encrypted with, where it names one. */
  readonly encryptionKey?: string;
}

export interface TableName {
  readonly database: string;
  readonly table: string;
}

/** A configuration that is refused; the message says what to change. */
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

interface RawConfig {
  readonly rekey?: readonly { name: string; source: string; target: string; table?: string }[];
  readonly split?: readonly {
    name: string;
    target: string;
    sources?: string[];
    tags?: Record<string, string>;
    encryption?: { algorithm: string; key?: string };
  }[];
}

const schema = new URL('../../docs/lakewright.schema.json', import.meta.url);
/** Rust's unsigned integers, which the schema's `minimum` keeps from being negative. */
const unsigned = (bits: number) => ({ type: 'number' as const, validate: (n: number) => n < 2 ** bits });

const conforms = new Ajv2020({
  allErrors: true,
  allowUnionTypes: true,
  formats: { uint8: unsigned(8), uint16: unsigned(16), uint32: unsigned(32), uint64: unsigned(64) },
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
      table: job.table === undefined ? undefined : readTable(job.name, job.table),
    })),
    split: (raw.split ?? []).map((job) => ({
      name: job.name,
      target: readPrefix(`split \`${job.name}\``, 'target', job.target),
      sources: (job.sources ?? []).map((source) => readLocation(`split \`${job.name}\``, 'sources', source)),
      tagged: Object.keys(job.tags ?? {}).length > 0,
      encryptionKey: job.encryption?.key,
    })),
  };
}

function describe({ instancePath, keyword, params, message }: ErrorObject): string[] {
  const where = instancePath.slice(1).replaceAll(/\/(\d+)/g, '[$1]').replaceAll('/', '.');
  const at = where === '' ? '' : `${where}: `;
  switch (keyword) {
    case 'additionalProperties':
      return [`${at}unknown key \`${params['additionalProperty']}\``];
    case 'required':
      return [`${at}missing key \`${params['missingProperty']}\``];
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

function readTable(job: string, text: string): TableName {
  const [database, table, ...rest] = text.split('.');
  if (!database || !table || rest.length > 0) {
    throw new ConfigError(`rekey \`${job}\`: table = "${text}" is not a table name: write it as database.table`);
  }
  return { database, table };
}

/**
 * Other characters would have to be percent-encoded in the filter of a notification.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
 */
const FILTER_SAFE = /^[A-Za-z0-9/!_.'()-]*$/;

function checkRules({ rekey, split }: Config): void {
  const names = [...rekey, ...split].map(({ name }) => name);
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
      if (contains(other.source, job.target)) {
        throw new ConfigError(
          `rekey \`${job.name}\`: target ${formatLocation(job.target)} lies inside source ` +
            `${formatLocation(other.source)} (of \`${other.name}\`), so its output would trigger it again: ` +
            'choose a target outside',
        );
      }
    }
    for (const other of rekey.slice(0, index)) {
      if (contains(other.source, job.source) || contains(job.source, other.source)) {
        throw new ConfigError(`rekey \`${other.name}\` and \`${job.name}\` have overlapping sources`);
      }
    }
  });
  for (const job of split) {
    const other = rekey.find(({ source }) => contains(source, job.target));
    if (other) {
      throw new ConfigError(
        `split \`${job.name}\`: target ${formatLocation(job.target)} lies inside the source of rekey ` +
          `\`${other.name}\`, which would read every row: choose a target outside`,
      );
    }
  }
}
