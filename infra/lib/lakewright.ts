import { CfnOutput, Duration, Size, Stack, Tags } from 'aws-cdk-lib';
import { ManagedPolicy, PermissionsBoundary, type Role } from 'aws-cdk-lib/aws-iam';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { grantCopy, grantEncryption, grantQueries, grantReadCurrent, grantReadWrite } from './access.ts';
import { CompactJob, generationsOf } from './compact-job.ts';
import {
  ConfigError,
  formatTable,
  loadConfig,
  subjectOf,
  type CompactConfig,
  type Config,
  type RekeyConfig,
  type RouteConfig,
  type RepartitionConfig,
  type SplitConfig,
  type Stored,
  type TableName,
} from './config.ts';
import { DataBuckets } from './data-buckets.ts';
import { LakewrightFunction, type LakewrightFunctionProps } from './lakewright-function.ts';
import { contains, join, type Location } from './location.ts';
import { Monitoring } from './monitoring.ts';
import { readOptions, setContext, type LakewrightOptions } from './options.ts';
import { RekeyJob } from './rekey-job.ts';
import { RepartitionJob } from './repartition-job.ts';
import { SplitJob } from './split-job.ts';

export interface LakewrightProps {
  /** The path of the lakewright.toml that the functions will read. */
  readonly config: string;
  /** What the CDK app takes as context (`-c memory=1024`). It takes the place of context of the same name. */
  readonly options?: LakewrightOptions;
}

/** What every function is given. */
type Common = Pick<LakewrightFunctionProps, 'config' | 'options'>;

/** Everything that one lakewright.toml needs. */
export class Lakewright extends Construct {
  constructor(scope: Construct, id: string, props: LakewrightProps) {
    super(scope, id);
    setContext(this.node, props.options);
    const jobs = loadConfig(props.config);
    if (Object.values<readonly unknown[]>({ ...jobs }).every((kind) => kind.length === 0)) {
      throw new ConfigError(`${props.config}: no job is named, so there is nothing to deploy`);
    }
    const options = readOptions(this.node);
    const config = new Asset(this, 'Config', { path: props.config });
    const buckets = new DataBuckets(this, 'Buckets', options);
    const monitoring = new Monitoring(this, 'Monitoring', {
      namePrefix: options.namePrefix,
      topic: options.alarmTopic === undefined ? undefined : Topic.fromTopicArn(this, 'AlarmTopic', options.alarmTopic),
    });

    const common = { config, options };
    const places = tablePlaces(jobs, options.tableLocations);
    const written = writtenBy(jobs);
    if (jobs.rekey.length > 0) {
      const { role } = this.rekey(jobs.rekey, common, buckets, monitoring);
      // Rows go to the current directory of a partition.
      for (const { job, location } of placed(jobs, places)) {
        for (const writer of jobs.rekey.filter((writer) => writes(writer, job))) {
          const generations = generationsOf(job, location);
          grantReadWrite(role, generations, writer);
          // A file whose partition moves meanwhile is copied after it.
          grantCopy(role, [location, generations], [generations]);
          grantEncryption(role, job, 'read');
        }
      }
      for (const { source } of jobs.rekey) {
        grantDecrypt([role], source, written);
      }
    }
    if (jobs.split.length > 0) {
      this.split(jobs.split, written, common, buckets, monitoring);
    }
    if (jobs.compact.length > 0) {
      this.compact(placed(jobs, places), written, common, buckets, monitoring);
    }
    if (jobs.repartition.length > 0) {
      this.repartition(jobs.repartition, places, written, common, buckets, monitoring);
    }
    buckets.end();
    const boundary =
      options.permissionsBoundary === undefined
        ? undefined
        : ManagedPolicy.fromManagedPolicyArn(this, 'PermissionsBoundary', options.permissionsBoundary);
    // CDK puts what its constructs share into the stack itself.
    const shared = Stack.of(this).node.children.filter(({ node }) => /^(SchedulerRoleForTarget|BucketNotificationsHandler)/.test(node.id));
    for (const scope of [this, ...shared]) {
      if (boundary) {
        PermissionsBoundary.of(scope).apply(boundary);
      }
      for (const [key, value] of options.tags) {
        Tags.of(scope).add(key, value);
      }
    }
  }

  private rekey(
    jobs: readonly RekeyConfig[],
    common: Common,
    buckets: DataBuckets,
    monitoring: Monitoring,
  ): LakewrightFunction {
    const { options } = common;
    const rekey = this.worker(
      'Rekey',
      { ...common, binary: 'rekey', description: 'Rewrites landed objects into partitions by event time' },
      monitoring,
    );
    const queueUrls = jobs.map((job): [string, string] => {
      const { backfillQueue } = new RekeyJob(this, `Rekey-${job.name}`, { job, rekey, buckets, monitoring, options });
      return [job.name, backfillQueue.queueUrl];
    });
    rekey.function.addEnvironment('LAKEWRIGHT_QUEUES', Stack.of(this).toJsonString(Object.fromEntries(queueUrls)));
    return rekey;
  }

  private split(
    jobs: readonly SplitConfig[],
    written: readonly Written[],
    common: Common,
    buckets: DataBuckets,
    monitoring: Monitoring,
  ): void {
    const { options } = common;
    const ephemeralStorage = Size.mebibytes(512);
    // The longest that there is: a result is scanned in one go.
    const planTimeout = Duration.minutes(15);
    const sizes = {
      plan: { memory: options.splitPlanMemory, timeout: planTimeout, ephemeralStorage },
      rows: { memory: options.splitRowsMemory, timeout: options.splitRowsTimeout, ephemeralStorage },
    };
    for (const { jobs: sharing, reach } of byReach(jobs, ({ allowsAnySource }) => allowsAnySource)) {
      const worker = (id: string, binary: string, description: string, size: LakewrightFunctionProps['size']) =>
        this.worker(id, { ...common, binary, description, size, reach }, monitoring);
      const plan = worker('SplitPlan', 'split-plan', "Cuts a query's result into chunks", sizes.plan);
      const rows = worker('SplitRows', 'split-rows', 'Writes each row of a chunk as an object', sizes.rows);
      grantQueries(plan.role, options.workgroups);
      const splits = sharing.map(
        (job) => new SplitJob(this, `Split-${job.name}`, { job, plan, planTimeout, rows, buckets, monitoring, options }),
      );
      for (const source of sharing.flatMap(({ sources }) => sources)) {
        grantDecrypt([plan.role, rows.role], source, written);
      }
      const queueUrls = splits.map(({ queue }, index): [string, string] => [sharing[index]!.name, queue.queueUrl]);
      plan.function.addEnvironment('LAKEWRIGHT_QUEUES', Stack.of(this).toJsonString(Object.fromEntries(queueUrls)));
      const deadLetters = splits.map(({ deadLetterQueue }) => deadLetterQueue.queueArn);
      rows.function.addEnvironment('LAKEWRIGHT_DEAD_LETTERS', Stack.of(this).toJsonString(deadLetters));
    }
  }

  private compact(
    jobs: readonly PlacedJob[],
    written: readonly Written[],
    common: Common,
    buckets: DataBuckets,
    monitoring: Monitoring,
  ): void {
    const { options } = common;
    const { compactMemory: memory, compactTimeout: timeout, ephemeralStorage } = options;
    const worker = (id: string, binary: string, description: string) =>
      this.worker(id, { ...common, binary, description, size: { memory, timeout, ephemeralStorage } }, monitoring);
    const functions = {
      plan: worker('CompactPlan', 'compact-plan', 'Finds the partitions with many small files'),
      merge: worker('CompactMerge', 'compact-merge', 'Makes one file of many'),
      publish: worker('CompactPublish', 'compact-publish', 'Points readers at the new files'),
    };
    for (const { job, location, commits } of jobs) {
      const id = `Compact-${(job.table ? formatTable(job.table) : location.key).replaceAll('/', '-')}`;
      new CompactJob(this, id, { job, location, functions, buckets, monitoring, options });
      if (commits) {
        grantReadCurrent(functions.plan.role, commits);
      }
      grantDecrypt(Object.values(functions).map(({ role }) => role), location, written);
    }
  }

  private repartition(
    jobs: readonly RepartitionConfig[],
    places: ReadonlyMap<string, Location>,
    written: readonly Written[],
    common: Common,
    buckets: DataBuckets,
    monitoring: Monitoring,
  ): void {
    const { options } = common;
    const { repartitionMemory: memory, repartitionTimeout: timeout, ephemeralStorage } = options;
    const placeOf = ({ source }: RepartitionConfig) => ('table' in source ? places.get(formatTable(source)) : source);
    const missing = jobs.find((job) => !placeOf(job) && !job.allowsAnySource);
    if (missing && 'table' in missing.source) {
      throw new ConfigError(
        `repartition \`${missing.name}\`: no job here writes ${formatTable(missing.source)}: say where it lies ` +
          `(-c table-locations=${formatTable(missing.source)}=s3://bucket/prefix/), or write allow_any_source = true ` +
          'to read every bucket of the account',
      );
    }
    for (const { jobs: sharing, reach } of byReach(jobs, (job) => !placeOf(job))) {
      const worker = (id: string, binary: string, description: string) =>
        this.worker(id, { ...common, binary, description, size: { memory, timeout, ephemeralStorage }, reach }, monitoring);
      const functions = {
        plan: worker('RepartitionPlan', 'repartition-plan', 'Cuts a table into tasks'),
        write: worker('RepartitionWrite', 'repartition-write', 'Rewrites one part of a table'),
        commit: worker('RepartitionCommit', 'repartition-commit', 'Puts the new files in the place of the old'),
      };
      for (const job of sharing) {
        const source = placeOf(job);
        new RepartitionJob(this, `Repartition-${job.name}`, { job, source, functions, buckets, monitoring, options });
        if (source) {
          grantDecrypt([functions.plan.role, functions.write.role], source, written);
        }
      }
    }
  }

  /** A function, watched and with its name as an output. */
  private worker(kind: string, props: Omit<LakewrightFunctionProps, 'monitoring'>, monitoring: Monitoring): LakewrightFunction {
    const id = props.reach === undefined ? kind : `${kind}Anywhere`;
    const worker = new LakewrightFunction(this, id, { ...props, monitoring });
    monitoring.watch(worker.name, worker.function);
    new CfnOutput(this, `${id}FunctionName`, { value: worker.invoked.functionName });
    return worker;
  }
}

/** Jobs whose functions are the same. */
interface Sharing<Job> {
  readonly jobs: readonly Job[];
  readonly reach?: 'anywhere';
}

/**
 * The jobs by whose functions they have. Those that may read every bucket of the account have functions of their own, so that
 * they widen the roles of no other job.
 */
function byReach<Job>(jobs: readonly Job[], readsAnywhere: (job: Job) => boolean): Sharing<Job>[] {
  const all: Sharing<Job>[] = [
    { jobs: jobs.filter((job) => !readsAnywhere(job)) },
    { jobs: jobs.filter(readsAnywhere), reach: 'anywhere' },
  ];
  return all.filter(({ jobs }) => jobs.length > 0);
}

/** Where a job writes, and how. */
interface Written {
  readonly target: Location;
  readonly stored: Stored;
}

function writtenBy({ rekey, split, repartition }: Config): Written[] {
  const routed = rekey.flatMap((job) => job.routes.map(({ target }) => ({ target, stored: job })));
  return [...[...rekey, ...split, ...repartition].map((job) => ({ target: job.target, stored: job })), ...routed];
}

/** Whether a rekey job writes the table of a compact job. */
function writes({ table, routes }: RekeyConfig, job: CompactConfig): boolean {
  const tables = [table, ...routes.map((route) => route.table)].flatMap((name) => (name ? [formatTable(name)] : []));
  return job.table !== undefined && tables.includes(formatTable(job.table));
}

/** Reads what other jobs have encrypted under a prefix. */
function grantDecrypt(roles: readonly Role[], prefix: Location, written: readonly Written[]): void {
  for (const { target, stored } of written) {
    if (contains(prefix, target) || contains(target, prefix)) {
      roles.forEach((role) => grantEncryption(role, stored, 'read'));
    }
  }
}

/** A compact job, and the location that it compacts. */
interface PlacedJob {
  readonly job: CompactConfig;
  readonly location: Location;
  /** The commits of its files, if they are in another ledger than its own: that of the rekey job whose route writes them. */
  readonly commits?: Location;
}

/** The locations of tables: those that a job writes, and those in the context. */
function tablePlaces(
  { rekey, repartition }: Config,
  given: ReadonlyMap<string, Location>,
): ReadonlyMap<string, Location> {
  const writers: readonly { table?: TableName; target: Location }[] = [...repartition, ...rekey, ...rekey.flatMap(({ routes }) => routes)];
  const written = writers.flatMap(({ table, target }): [string, Location][] => (table ? [[formatTable(table), target]] : []));
  return new Map([...given, ...written]);
}

function placed({ compact, rekey }: Config, places: ReadonlyMap<string, Location>): PlacedJob[] {
  return compact.map((job) => {
    const location = job.target ?? (job.table && places.get(formatTable(job.table)));
    if (!location) {
      throw new ConfigError(
        `compact \`${subjectOf(job)}\`: no job here writes the table: say where it lies, for what the roles may touch: ` +
          `-c table-locations=${subjectOf(job)}=s3://bucket/prefix/`,
      );
    }
    const ofRoute = ({ table, target }: RouteConfig) =>
      job.table ? formatTable(job.table) === formatTable(table) : contains(target, location);
    const router = rekey.find(({ routes }) => routes.some(ofRoute));
    return { job, location, commits: router && join(router.target, '_lakewright/commit/') };
  });
}
