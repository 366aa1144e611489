/** Settings of the deployment, from the CDK context (`-c name=value` or cdk.json). infra/README.md lists them. */
import { Duration, Size, Stack } from 'aws-cdk-lib';
import { Architecture } from 'aws-cdk-lib/aws-lambda';
import type { IConstruct, Node } from 'constructs';
import { ConfigError, parseTable } from './config.ts';
import { parseLocation, type Location } from './location.ts';

/** Settings of the deployment: those of the context, by their names there in camel case. infra/README.md says what each means. */
export interface LakewrightOptions {
  readonly architecture?: 'arm64' | 'x86_64';
  /** A folder with `<function>/bootstrap.zip`: of a release, or of `cargo xtask package`. */
  readonly prebuilt?: string;
  readonly namePrefix?: string;
  readonly createBuckets?: '*' | readonly string[];
  /** `s3`, `eventbridge`, `none` or the ARN of an SNS topic, for all buckets or for each. */
  readonly notifications?: string | Readonly<Record<string, string>>;
  readonly memory?: number;
  readonly ephemeralStorage?: number;
  readonly timeout?: number;
  readonly maxConcurrency?: number;
  readonly backfillConcurrency?: number;
  readonly splitPlanMemory?: number;
  readonly splitRowsMemory?: number;
  readonly splitRowsTimeout?: number;
  readonly compactConcurrency?: number;
  readonly compactMemory?: number;
  readonly compactTimeout?: number;
  readonly repartitionMemory?: number;
  readonly repartitionTimeout?: number;
  /** Locations by `database.table`. */
  readonly tableLocations?: Readonly<Record<string, string>>;
  readonly workgroups?: readonly string[];
  readonly queryPolicies?: readonly string[];
  /** Accounts by bucket. */
  readonly bucketOwners?: Readonly<Record<string, string>>;
  /** Keys by bucket. */
  readonly kmsKeys?: Readonly<Record<string, string>>;
  readonly catalogKey?: string;
  readonly assetsKey?: string;
  readonly queueKey?: string;
  readonly spoolExpiry?: number;
  readonly quarantineExpiry?: number | 'never';
  readonly permissionsBoundary?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly vpcSubnets?: readonly string[];
  readonly vpcSecurityGroups?: readonly string[];
  /** `off`, or how CodeDeploy shifts: `Canary10Percent5Minutes`, `Linear10PercentEvery1Minute`, … */
  readonly trafficShift?: string;
  readonly logExecutionData?: boolean;
  readonly showValues?: boolean;
  readonly alarmTopic?: string;
  /** The page of docs/OPERATIONS.md that alarms link to. */
  readonly operationsUrl?: string;
  readonly lullAlarm?: boolean;
  readonly lateAlarm?: boolean;
}

/** Makes the options the context of a construct and of everything in it. */
export function setContext(node: Node, options: LakewrightOptions = {}): void {
  for (const [name, value] of Object.entries<LakewrightOptions[keyof LakewrightOptions]>({ ...options })) {
    if (value !== undefined) {
      const context = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      node.setContext(context, asContext(value));
    }
  }
}

/** Lists and maps are texts there. */
function asContext(value: NonNullable<LakewrightOptions[keyof LakewrightOptions]>): string | number | boolean {
  if (typeof value !== 'object') {
    return value;
  }
  const parts = Array.isArray(value) ? value : Object.entries(value).map(([key, of]) => `${key}=${of}`);
  return parts.join(',');
}

/**
 * How a queue hears of what lands in a bucket: by the bucket's own notifications, by EventBridge, by an SNS topic that the bucket
 * notifies, or not at all.
 */
export type Notification = { readonly by: 's3' | 'eventbridge' | 'none' } | { readonly by: 'sns'; readonly topic: string };

/** The notification of each bucket. */
export type Notifications = (bucket: string) => Notification;

export interface Options {
  readonly architecture: Architecture;
  /** What the functions' names begin with, so that an account and region hold more than one stack. */
  readonly namePrefix: string;
  /** A folder with `<function>/bootstrap.zip`, instead of building with cargo-lambda. */
  readonly prebuilt?: string;
  /** The buckets that the stack creates, or all; the others exist. */
  readonly createBuckets: readonly string[] | 'all';
  /** How the queues hear of what lands, by bucket. */
  readonly notifications: Notifications;
  /** MiB. */
  readonly memory: number;
  readonly ephemeralStorage: Size;
  readonly timeout: Duration;
  readonly maxConcurrency: number;
  readonly backfillConcurrency: number;
  /** MiB. */
  readonly splitPlanMemory: number;
  /** MiB. */
  readonly splitRowsMemory: number;
  readonly splitRowsTimeout: Duration;
  readonly compactConcurrency: number;
  /** MiB. */
  readonly compactMemory: number;
  readonly compactTimeout: Duration;
  /** MiB. */
  readonly repartitionMemory: number;
  readonly repartitionTimeout: Duration;
  /** Locations of tables that the configuration does not give, by `database.table`. */
  readonly tableLocations: ReadonlyMap<string, Location>;
  /** The Athena workgroups whose queries may be split; the state machines run theirs in the first. */
  readonly workgroups: readonly string[];
  /** ARNs of managed policies that allow what the state machines' queries read. */
  readonly queryPolicies: readonly string[];
  /** The ARN of an SNS topic that hears of every alarm. */
  readonly alarmTopic?: string;
  /** Whether an alarm says that less lands than usual. */
  readonly lullAlarm: boolean;
  /** Whether an alarm says that what lands is committed late. */
  readonly lateAlarm: boolean;
  /** When what a killed invocation left of its rows is deleted. */
  readonly spoolExpiry: Duration;
  /** When quarantined records are deleted; by default they are kept. */
  readonly quarantineExpiry?: Duration;
  /** The managed policy that bounds the permissions of every role. */
  readonly permissionsBoundary?: string;
  /** Tags of every resource. */
  readonly tags: ReadonlyMap<string, string>;
  /** Where in a VPC the functions run, if they do. */
  readonly vpc?: { readonly subnets: readonly string[]; readonly securityGroups: readonly string[] };
  /** Whether the state machines' logs hold what goes into states and comes out of them. */
  /** How CodeDeploy shifts what invokes a function to its new version; at once, and without versions, by default. */
  readonly trafficShift?: string;
  readonly logExecutionData: boolean;
  /** Whether the functions' messages hold values of records. */
  readonly showValues: boolean;
}

/** Ranges: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html and services-sqs-scaling.html */
export function readOptions(node: Node): Options {
  // Read where they are used, and refused here.
  bucketOwners(node);
  bucketKeys(node);
  catalogKey(node);
  assetsKey(node);
  const workgroups = texts(node, 'workgroups', 'primary');
  const unusable = workgroups.find((name) => !/^[a-zA-Z0-9._-]{1,128}$/.test(name));
  if (unusable !== undefined || workgroups.length === 0) {
    throw new ConfigError(`context workgroups: ${JSON.stringify(unusable ?? '')} is not the name of an Athena workgroup`);
  }
  const isKept = [undefined, '', 'never'].includes(node.tryGetContext('quarantine-expiry'));
  const quarantine = isKept ? undefined : wholeNumber(node, 'quarantine-expiry', 0, 1, 3_650);
  return {
    architecture: architecture(node),
    namePrefix: namePrefix(node),
    prebuilt: text(node, 'prebuilt'),
    createBuckets: createBuckets(node),
    notifications: notifications(node),
    memory: wholeNumber(node, 'memory', 512, 128, 10_240),
    ephemeralStorage: Size.mebibytes(wholeNumber(node, 'ephemeral-storage', 2048, 512, 10_240)),
    timeout: Duration.seconds(wholeNumber(node, 'timeout', 300, 1, 900)),
    maxConcurrency: wholeNumber(node, 'max-concurrency', 50, 2, 1_000),
    backfillConcurrency: wholeNumber(node, 'backfill-concurrency', 5, 2, 1_000),
    splitPlanMemory: wholeNumber(node, 'split-plan-memory', 2_048, 128, 10_240),
    splitRowsMemory: wholeNumber(node, 'split-rows-memory', 256, 128, 10_240),
    splitRowsTimeout: Duration.seconds(wholeNumber(node, 'split-rows-timeout', 120, 1, 900)),
    compactConcurrency: wholeNumber(node, 'compact-concurrency', 100, 1, 1_000),
    compactMemory: wholeNumber(node, 'compact-memory', 512, 128, 10_240),
    compactTimeout: Duration.seconds(wholeNumber(node, 'compact-timeout', 900, 1, 900)),
    repartitionMemory: wholeNumber(node, 'repartition-memory', 1_024, 128, 10_240),
    repartitionTimeout: Duration.seconds(wholeNumber(node, 'repartition-timeout', 900, 1, 900)),
    tableLocations: new Map(texts(node, 'table-locations').map(tableLocation)),
    workgroups,
    queryPolicies: texts(node, 'query-policies'),
    alarmTopic: text(node, 'alarm-topic'),
    lullAlarm: flag(node, 'lull-alarm', true),
    lateAlarm: flag(node, 'late-alarm', true),
    spoolExpiry: Duration.days(wholeNumber(node, 'spool-expiry', 1, 1, 365)),
    quarantineExpiry: quarantine === undefined ? undefined : Duration.days(quarantine),
    permissionsBoundary: permissionsBoundary(node),
    tags: new Map(texts(node, 'tags').map(tag)),
    vpc: vpc(node),
    trafficShift: trafficShift(node),
    logExecutionData: flag(node, 'log-execution-data'),
    showValues: flag(node, 'show-values'),
  };
}

/** The account that owns a bucket: the stack's, unless `bucket-owners` names another. */
export function bucketOwner(scope: IConstruct, bucket: string): string {
  return bucketOwners(scope.node).get(bucket) ?? Stack.of(scope).account;
}

/** Reads `bucket=account`, separated by commas. */
function bucketOwners(node: Node): ReadonlyMap<string, string> {
  return new Map(
    texts(node, 'bucket-owners').map((given): [string, string] => {
      const [, bucket, account] = /^([^=]+)=(\d{12})$/.exec(given) ?? [];
      if (bucket === undefined || account === undefined) {
        throw new ConfigError(`context bucket-owners: ${JSON.stringify(given)} is not of the form bucket=123456789012`);
      }
      return [bucket, account];
    }),
  );
}

/** The customer managed KMS keys of buckets. Reads `bucket=key`, separated by commas. */
export function bucketKeys(node: Node): ReadonlyMap<string, string> {
  return new Map(
    texts(node, 'kms-keys').map((given): [string, string] => {
      const [, bucket, key] = /^([a-z0-9.-]+)=(.*)$/.exec(given) ?? [];
      if (bucket === undefined || key === undefined) {
        throw new ConfigError(`context kms-keys: ${JSON.stringify(given)} is not of the form bucket=key`);
      }
      return [bucket, kmsKey(key, 'kms-keys')];
    }),
  );
}

/** The KMS key that the queues are encrypted with, where it is not SQS's own. */
export function queueKey(node: Node): string | undefined {
  return oneKey(node, 'queue-key');
}

/** The KMS key that the metadata of the Glue catalog is encrypted with. */
export function catalogKey(node: Node): string | undefined {
  return oneKey(node, 'catalog-key');
}

/** The KMS key of CDK's bucket of assets, where the configuration lies. */
export function assetsKey(node: Node): string | undefined {
  return oneKey(node, 'assets-key');
}

function oneKey(node: Node, context: string): string | undefined {
  const key = text(node, context);
  return key === undefined ? undefined : kmsKey(key, context);
}

function kmsKey(key: string, context: string): string {
  if (!/^(arn:[\w-]+:kms:[\w-]+:\d{12}:key\/[\w-]+|alias\/[\w/-]+|(mrk-)?[0-9a-f-]{32,36})$/.test(key)) {
    throw new ConfigError(
      `context ${context}: ${JSON.stringify(key)} is neither the ARN nor the id of a KMS key, nor an alias (alias/name)`,
    );
  }
  return key;
}

/** Reads bucket names, separated by commas, or `*`. */
function createBuckets(node: Node): readonly string[] | 'all' {
  const names = texts(node, 'create-buckets');
  if (names.includes('*')) {
    if (names.length > 1) {
      throw new ConfigError('context create-buckets: beside "*", which is all of them, there is nothing to name');
    }
    return 'all';
  }
  const unusable = names.find((name) => !/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name));
  if (unusable !== undefined) {
    throw new ConfigError(`context create-buckets: ${JSON.stringify(unusable)} is not the name of a bucket`);
  }
  return names;
}

/** Reads `s3`, `eventbridge`, `none` or the ARN of an SNS topic, for every bucket, or as `bucket=…` for one; separated by commas. */
function notifications(node: Node): Notifications {
  let others: Notification = { by: 's3' };
  const own = new Map<string, Notification>();
  for (const given of texts(node, 'notifications')) {
    const [, bucket, how = ''] = /^(?:([^=]*)=)?(.*)$/.exec(given) ?? [];
    const notification = readNotification(how);
    if (notification === undefined || bucket === '') {
      throw new ConfigError(
        `context notifications: ${JSON.stringify(given)} is neither s3, eventbridge, none nor the ARN of an SNS topic, nor one of them after bucket=`,
      );
    }
    if (bucket === undefined) {
      others = notification;
    } else {
      own.set(bucket, notification);
    }
  }
  return (bucket) => own.get(bucket) ?? others;
}

function readNotification(how: string): Notification | undefined {
  if (how === 's3' || how === 'eventbridge' || how === 'none') {
    return { by: how };
  }
  return /^arn:[\w-]+:sns:[\w-]+:\d{12}:[\w-]+$/.test(how) ? { by: 'sns', topic: how } : undefined;
}

function permissionsBoundary(node: Node): string | undefined {
  const arn = text(node, 'permissions-boundary');
  if (arn !== undefined && !/^arn:[\w-]+:iam::(\d{12}|aws):policy\/[\w+=,.@/-]+$/.test(arn)) {
    throw new ConfigError(`context permissions-boundary: ${JSON.stringify(arn)} is not the ARN of a managed policy`);
  }
  return arn;
}

/** Reads `key=value`. https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html */
function tag(given: string): [string, string] {
  const [, key, value] = /^([\p{L}\p{Z}\p{N}_.:/+@-]{1,128})=([\p{L}\p{Z}\p{N}_.:/=+@-]{0,256})$/u.exec(given) ?? [];
  if (key === undefined || value === undefined || key.startsWith('aws:')) {
    throw new ConfigError(`context tags: ${JSON.stringify(given)} is not of the form key=value`);
  }
  return [key, value];
}

function vpc(node: Node): Options['vpc'] {
  const [subnets, securityGroups] = [texts(node, 'vpc-subnets'), texts(node, 'vpc-security-groups')];
  if (subnets.length === 0 && securityGroups.length === 0) {
    return undefined;
  }
  for (const [context, ids, prefix] of [['vpc-subnets', subnets, 'subnet-'], ['vpc-security-groups', securityGroups, 'sg-']] as const) {
    const unusable = ids.find((id) => !id.startsWith(prefix));
    if (unusable !== undefined || ids.length === 0) {
      throw new ConfigError(`context ${context}: ${JSON.stringify(unusable ?? '')} is no id: write ${prefix}…, and both contexts`);
    }
  }
  return { subnets, securityGroups };
}

export function flag(node: Node, key: string, otherwise = false): boolean {
  const value: unknown = node.tryGetContext(key) ?? otherwise;
  if (value !== true && value !== false && value !== 'true' && value !== 'false') {
    throw new ConfigError(`context ${key}: ${JSON.stringify(value)} is neither true nor false`);
  }
  return value === true || value === 'true';
}

export function text(node: Node, key: string): string | undefined {
  const value: unknown = node.tryGetContext(key);
  if (value === undefined || value === '') {
    return undefined;
  }
  if (typeof value !== 'string') {
    throw new ConfigError(`context ${key}: ${JSON.stringify(value)} is not a text`);
  }
  return value;
}

/** Function names have up to 64 characters, of which the longest here takes 27. */
export function namePrefix(node: Node): string {
  const prefix = text(node, 'name-prefix') ?? '';
  if (!/^[a-zA-Z0-9_-]{0,37}$/.test(prefix)) {
    throw new ConfigError(`context name-prefix: ${JSON.stringify(prefix)} is not of up to 37 letters, digits, - and _`);
  }
  return prefix;
}

/** Reads `off`, or the end of the name of one of CodeDeploy's configurations. https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html */
function trafficShift(node: Node): string | undefined {
  const shift = text(node, 'traffic-shift') ?? 'off';
  if (shift === 'off') {
    return undefined;
  }
  if (!/^(AllAtOnce|Canary10Percent(5|10|15|30)Minutes|Linear10PercentEvery(1|2|3|10)Minutes?)$/.test(shift)) {
    throw new ConfigError(
      `context traffic-shift: ${JSON.stringify(shift)} is neither off nor one of CodeDeploy's: AllAtOnce, Canary10Percent5Minutes, Linear10PercentEvery1Minute, …`,
    );
  }
  return shift;
}

/** Texts separated by commas. */
function texts(node: Node, key: string, otherwise = ''): string[] {
  return (text(node, key) ?? otherwise)
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Reads `database.table=s3://bucket/prefix/`. */
function tableLocation(given: string): [string, Location] {
  const [, table = '', location = ''] = /^([^=]*)=(.*)$/s.exec(given) ?? [];
  const place = parseLocation(location);
  if (!parseTable(table) || !place?.key.endsWith('/')) {
    throw new ConfigError(
      `context table-locations: ${JSON.stringify(given)} is not of the form database.table=s3://bucket/prefix/`,
    );
  }
  return [table, place];
}

function architecture(node: Node): Architecture {
  const value = text(node, 'architecture') ?? 'arm64';
  switch (value) {
    case 'arm64':
      return Architecture.ARM_64;
    case 'x86_64':
      return Architecture.X86_64;
    default:
      throw new ConfigError(`context architecture: ${value} is neither arm64 nor x86_64`);
  }
}

function wholeNumber(node: Node, key: string, otherwise: number, least: number, most: number): number {
  const given: unknown = node.tryGetContext(key) ?? otherwise;
  const value = typeof given === 'string' && given.trim() !== '' ? Number(given) : given;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw new ConfigError(`context ${key}: ${JSON.stringify(given)} is not a whole number from ${least} to ${most}`);
  }
  return value;
}
