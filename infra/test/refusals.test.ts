import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parseConfig } from '../lib/config.ts';
import { build, type Context } from './support.ts';

const ANYWHERE = 'allow_any_source = true\n';
const ANPR = `
[[rekey]]
name = "anpr"
source = "s3://landing/anpr/"
timestamp = { column = "t" }
target = "s3://lake/anpr/"
`;
const USERS = `
[[split]]
name = "users"
target = "s3://objects/users/"
${ANYWHERE}`;
const EV = `
[[repartition]]
name = "ev"
source = "glue_db.ev"
target = "s3://lake/ev/"
`;
const COMPACT = `
[[compact]]
table = "lake.flights"
`;
const but = (from: string, to: string) => ANPR.replace(from, to);
const second = (source: string, target = 's3://lake/b/') =>
  ANPR + but('"anpr"', '"b"').replace('s3://landing/anpr/', source).replace('s3://lake/anpr/', target);

test.each([
  ['not TOML', 'rekey = [', /lakewright\.toml: Invalid TOML/],
  ['unknown key', `${ANPR}speling = 1`, /rekey\[0\]: unknown key `speling`/],
  ['unknown nested key', but('{ column = "t" }', '{ column = "t", colour = 1 }'), /rekey\[0\]\.timestamp: unknown key `colour`/],
  ['unknown table', `${ANPR}[[rekye]]\nname = "x"`, /unknown key `rekye`/],
  ['missing key', but('timestamp', '# timestamp'), /rekey\[0\]: missing key `timestamp`/],
  ['wrong type', but('"anpr"', '7'), /rekey\[0\]\.name: must be string/],
  ['wrong choice', `${ANPR}path_style = "padde"`, /rekey\[0\]\.path_style: may be "padded"/],
  ['integer beyond 32 bits', `${ANPR}limits = { partitions = 4294967296 }`, /partitions: must match format "uint32"/],
  ['an operation that is unknown', `${ANPR}column = [{ name = "a", uppercase = true }]`, /column\[0\]: unknown key `uppercase`/],
  ['not a location', but('s3://landing/anpr/', 'landing/anpr/'), /source = "landing\/anpr\/" is not an S3 location/],
  ['no bucket', but('s3://lake/anpr/', 's3:///anpr/'), /target = "s3:\/\/\/anpr\/" is not an S3 location/],
  ['source without slash', but('landing/anpr/', 'landing/anpr'), /source = "s3:\/\/landing\/anpr" must end with `\/`/],
  ['target without slash', but('lake/anpr/', 'lake/anpr'), /target = .* must end with `\/`/],
  ['not a table', `${ANPR}table = "a.b.c"`, /table = "a\.b\.c" is not a table name/],
  ['same name twice', ANPR + ANPR, /two jobs are named `anpr`/],
  ['target inside its source', but('lake/anpr/', 'landing/anpr/out/'), /target s3:\/\/landing\/anpr\/out\/ lies inside source s3:\/\/landing\/anpr\/ \(of `anpr`\)/],
  ['target is its source', but('lake/anpr/', 'landing/anpr/'), /would trigger it again/],
  ['target inside a bucket that is a source', but('landing/anpr/', 'lake/'), /would trigger it again/],
  ["target inside another job's source", second('s3://landing/b/', 's3://landing/anpr/b/'), /rekey `b`: target .* \(of `anpr`\)/],
  ['same source', second('s3://landing/anpr/'), /`anpr` and `b` have overlapping sources/],
  ['source inside a source', second('s3://landing/anpr/x/'), /overlapping sources/],
  ['source around a source', second('s3://landing/'), /overlapping sources/],
  ['prefix that a notification cannot filter', but('landing/anpr/', 'landing/year=2026/'), /a character that S3 notifications do not filter by verbatim/],
  ['split without a target', '[[split]]\nname = "users"', /split\[0\]: missing key `target`/],
  ['unknown key of split', `${USERS}speling = 1`, /split\[0\]: unknown key `speling`/],
  ['integer of split beyond 32 bits', `${USERS}chunk_rows = 4294967296`, /chunk_rows: must match format "uint32"/],
  ['target of split without slash', USERS.replace('users/"', 'users"'), /split `users`: target = .* must end with `\/`/],
  ['split without sources', USERS.replace(ANYWHERE, ''), /split `users`: sources is missing: name the prefixes .* or write allow_any_source = true/],
  ['sources beside any source', `${USERS}sources = ["s3://results/"]`, /split `users`: allow_any_source has no meaning beside sources/],
  ['source of split that is no location', `${USERS}sources = ["results"]`, /split `users`: sources = "results" is not an S3/],
  ['same name of two kinds', ANPR + USERS.replace('"users"', '"anpr"'), /two jobs are named `anpr`/],
  ['rows that rekey would read', ANPR + USERS.replace('s3://objects/', 's3://landing/anpr/'), /split `users`: target .* source of rekey `anpr`/],
  ['no schedule', `${COMPACT}schedule = "daily"`, /compact\[0\]\.schedule: is neither off nor a schedule: write rate\(12 hours\)/],
  ['no schedule of a sweep', `${ANPR}sweep = { schedule = "rate(1 week)" }`, /rekey\[0\]\.sweep\.schedule: is neither off/],
  ['no time', `${ANPR}sweep = { since = "yesterday" }`, /rekey `anpr`: sweep: since = "yesterday" is not a time in UTC/],
  ['a window of no day', `${ANPR}sweep = { days = 0 }`, /rekey\[0\]\.sweep\.days: must be >= 1/],
  ['window of a batch too long', `${ANPR}batch = { window = "5m 1s" }`, /rekey `anpr`: batch\.window = "5m 1s": Lambda waits for whole seconds, from "0s" to "300s"/],
  ['window of a part of a second', `${ANPR}batch = { window = "100ms" }`, /batch\.window = "100ms"/],
  ['window in words', `${ANPR}batch = { window = "soon 60s" }`, /batch\.window = "soon 60s"/],
  ['window without a unit', `${ANPR}batch = { window = 60 }`, /rekey\[0\]\.batch\.window: must be string/],
  ['batch of nothing', `${ANPR}batch = { objects = 0 }`, /batch\.objects = 0: write 1 to 10000/],
  ['batch too large', `${ANPR}batch = { objects = 10001 }`, /batch\.objects = 10001: write 1 to 10000/],
  ['unknown key of a batch', `${ANPR}batch = { seconds = 1 }`, /rekey\[0\]\.batch: unknown key `seconds`/],
  ['neither table nor target', '[[compact]]', /compact `\?`: write either table/],
  ['table and target', `${COMPACT}target = "s3://lake/x/"`, /compact `lake\.flights`: write either table/],
  ['not a table to compact', COMPACT.replace('lake.', ''), /compact `flights`: table = "flights" is not a table name/],
  ['generations without slash', `${COMPACT}generations = "s3://lake/g"`, /generations = .* must end with `\/`/],
  ['a table compacted twice', COMPACT + COMPACT, /compact `lake\.flights`: two jobs compact it/],
  ['generations that rekey would read', `${ANPR}${COMPACT}generations = "s3://landing/anpr/g/"`, /generations .* source of rekey `anpr`, which would read every file/],
  ['a prefix to compact that rekey reads', `${ANPR}[[compact]]\nmode = "in_place"\ntarget = "s3://landing/anpr/x/"`, /compact .* source of rekey `anpr`/],
  ['source of repartition that is nothing', EV.replace('glue_db.ev', 'ev'), /repartition `ev`: source = "ev" is not a table name/],
  ['source of repartition without slash', EV.replace('glue_db.ev', 's3://landing/ev'), /source = .* must end with `\/`/],
  ['target of repartition that rekey would read', ANPR + EV.replace('s3://lake/', 's3://landing/anpr/'), /repartition `ev`: target .* source of rekey `anpr`/],
  ['repartition named as rekey', ANPR + EV.replace('"ev"', '"anpr"'), /two jobs are named `anpr`/],
])('the configuration is refused: %s', (_, toml, says) => {
  expect(() => parseConfig(toml)).toThrow(says);
});

test('neighbouring prefixes, and a target beside its source in one bucket, are no overlap', () => {
  const config = parseConfig(second('s3://landing/anpr2/', 's3://landing/out/'));
  expect(config.rekey.map((job) => job.target.key)).toEqual(['anpr/', 'out/']);
});

test.each<[string, Context, RegExp]>([
  ['timeout above 15 minutes', { timeout: 901 }, /from 1 to 900/],
  ['too little memory', { memory: '64' }, /from 128 to 10240/],
  ['memory in words', { memory: '1GiB' }, /context memory: "1GiB" is not a whole number/],
  ['fraction', { timeout: 1.5 }, /not a whole number/],
  ['too little storage', { 'ephemeral-storage': 100 }, /from 512 to 10240/],
  ['concurrency of one', { 'max-concurrency': 1 }, /from 2 to 1000/],
  ['backfill by one', { 'backfill-concurrency': 1 }, /backfill-concurrency: 1 is not a whole number from 2 to 1000/],
  ['unknown architecture', { architecture: 'arm' }, /arm is neither arm64 nor x86_64/],
  ['no name of a workgroup', { workgroups: 'primary,a b' }, /context workgroups: "a b" is not the name of an Athena workgroup/],
  ['no workgroup', { workgroups: ',' }, /context workgroups: "" is not the name/],
  ['too long for a chunk', { 'split-rows-timeout': 901 }, /split-rows-timeout: 901 is not a whole number from 1 to 900/],
  ['no location of a table', { 'table-locations': 'a.b=lake/' }, /table-locations: "a\.b=lake\/" is not of the form/],
  ['location of no table', { 'table-locations': 's3://lake/' }, /table-locations: "s3:\/\/lake\/" is not of the form/],
  ['location without slash', { 'table-locations': 'a.b=s3://lake/x' }, /is not of the form database\.table=s3/],
  ['prefix that no function may have', { 'name-prefix': 'dev.' }, /name-prefix: "dev\." is not of up to 37 letters/],
  ['shift that CodeDeploy does not know', { 'traffic-shift': 'Canary50Percent' }, /traffic-shift: "Canary50Percent" is neither off nor one of CodeDeploy's/],
  ['prefix too long', { 'name-prefix': 'a'.repeat(38) }, /context name-prefix/],
  ['expiry of no day', { 'spool-expiry': 0 }, /spool-expiry: 0 is not a whole number from 1 to 365/],
  ['expiry in words', { 'quarantine-expiry': 'soon' }, /quarantine-expiry: "soon" is not a whole number from 1 to 3650/],
  ['no name of a bucket', { 'create-buckets': 'Lake' }, /create-buckets: "Lake" is not the name of a bucket/],
  ['all buckets and one', { 'create-buckets': '*,lake' }, /create-buckets: beside "\*"/],
  ['no notification', { notifications: 'sqs' }, /notifications: "sqs" is neither s3, eventbridge, none nor the ARN of an SNS topic/],
  ['notification of no bucket', { notifications: '=none' }, /notifications: "=none"/],
  ['notification by what is no topic', { notifications: 'landing=arn:aws:sqs:eu-west-1:123456789012:q' }, /notifications: "landing=arn/],
  ['boundary that is no policy', { 'permissions-boundary': 'developers' }, /permissions-boundary: "developers" is not the ARN of a managed policy/],
  ['tag without a value', { tags: 'team' }, /tags: "team" is not of the form key=value/],
  ['tag of AWS', { tags: 'aws:team=lake' }, /tags: "aws:team=lake"/],
  ['subnets without a security group', { 'vpc-subnets': 'subnet-1' }, /vpc-security-groups: "" is no id: write sg-…, and both contexts/],
  ['no subnet', { 'vpc-subnets': 'vpc-1', 'vpc-security-groups': 'sg-1' }, /vpc-subnets: "vpc-1" is no id/],
  ['missing zip', { prebuilt: '/nowhere' }, /\/nowhere\/rekey\/bootstrap\.zip does not exist: make it with `cargo xtask package/],
])('the context is refused: %s', (_, context, says) => {
  expect(() => build(ANPR, context)).toThrow(says);
});

test('a table to compact must lie somewhere', () => {
  expect(() => build(COMPACT)).toThrow(/compact `lake\.flights`: no job here writes the table: say where it lies/);
  expect(() => build(COMPACT, { 'table-locations': 'lake.flights=s3://lake/flights/' })).not.toThrow();
  const writer = ANPR.replace('s3://lake/anpr/', 's3://lake/') + 'table = "lake.flights"';
  expect(() => build(writer + COMPACT)).toThrow(/the table fills its bucket, so nothing lies beside it/);
});

test('a table to rewrite lies somewhere, or the job says that it may read anything', () => {
  expect(() => build(EV)).toThrow(/repartition `ev`: no job here writes glue_db\.ev: say where it lies \(-c table-locations=/);
  expect(() => build(`${EV}${ANYWHERE}`)).not.toThrow();
  expect(() => build(EV, { 'table-locations': 'glue_db.ev=s3://lake/raw/' })).not.toThrow();
});

test('a file without a job has nothing to deploy', () => {
  expect(() => build('')).toThrow(/no job is named/);
});

test('the app ends with the message alone', () => {
  const app = spawnSync(process.execPath, ['--import', 'tsx', 'bin/lakewright.ts'], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: { ...process.env, CDK_CONTEXT_JSON: JSON.stringify({ config: 'no-such.toml' }) },
    encoding: 'utf8',
  });
  expect(app.status).toBe(1);
  expect(app.stderr.trim()).toMatch(/^\S*no-such\.toml cannot be read \(ENOENT\): name the file with -c config=…$/);
});
