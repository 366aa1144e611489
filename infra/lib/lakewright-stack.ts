import { CfnOutput, Duration, Size, Stack, type StackProps } from 'aws-cdk-lib';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Topic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import { grantCopy, grantQueries, grantReadWrite } from './access.ts';
import { CompactJob, generationsOf } from './compact-job.ts';
import {
  ConfigError,
  formatTable,
  loadConfig,
  subjectOf,
  type CompactConfig,
  type Config,
  type RekeyConfig,
  type RepartitionConfig,
  type SplitConfig,
  type TableName,
} from './config.ts';
import { DataBuckets } from './data-buckets.ts';
import { LakewrightFunction, type LakewrightFunctionProps } from './lakewright-function.ts';
import type { Location } from './location.ts';
import { Monitoring } from './monitoring.ts';
import { readOptions } from './options.ts';
import { RekeyJob } from './rekey-job.ts';
import { RepartitionJob } from './repartition-job.ts';
import { SplitJob } from './split-job.ts';

export interface LakewrightStackProps extends StackProps {
  /** The path of the lakewright.toml that the functions will read. */
  readonly configFile: string;
}

/** What every function is given. */
type Common = Pick<LakewrightFunctionProps, 'config' | 'options'>;

/** Everything that one lakewright.toml needs. */
export class LakewrightStack extends Stack {
  constructor(scope: Construct, id: string, props: LakewrightStackProps) {
    super(scope, id, props);
    const jobs = loadConfig(props.configFile);
    if (Object.values<readonly unknown[]>({ ...jobs }).every((kind) => kind.length === 0)) {
      throw new ConfigError(`${props.configFile}: no job is named, so there is nothing to deploy`);
    }
    // CDK makes every function depend on its role, which follows from its `Role` property already.
    this.templateOptions.metadata = { 'cfn-lint': { config: { ignore_checks: ['W3005'] } } };

    const options = readOptions(this.node);
    const config = new Asset(this, 'Config', { path: props.configFile });
    const buckets = new DataBuckets(this, 'Buckets', { existing: options.existingBuckets });
    const monitoring = new Monitoring(this, 'Monitoring', {
      topic: options.alarmTopic === undefined ? undefined : Topic.fromTopicArn(this, 'AlarmTopic', options.alarmTopic),
    });

    const common = { config, options };
    const places = tablePlaces(jobs, options.tableLocations);
    if (jobs.rekey.length > 0) {
      const { role } = this.rekey(jobs.rekey, common, buckets, monitoring);
      // Rows go to the current directory of a partition.
      for (const { job, location } of placed(jobs.compact, places)) {
        const isOurs = ({ table }: RekeyConfig) => table && job.table && formatTable(table) === formatTable(job.table);
        for (const writer of jobs.rekey.filter(isOurs)) {
          const generations = generationsOf(job, location);
          grantReadWrite(role, generations, writer);
          // A file whose partition moves meanwhile is copied after it.
          grantCopy(role, [location, generations], [generations]);
        }
      }
    }
    if (jobs.split.length > 0) {
      this.split(jobs.split, common, buckets, monitoring);
    }
    if (jobs.compact.length > 0) {
      this.compact(placed(jobs.compact, places), common, buckets, monitoring);
    }
    if (jobs.repartition.length > 0) {
      this.repartition(jobs.repartition, places, common, buckets, monitoring);
    }
  }

  private rekey(
    jobs: readonly RekeyConfig[],
    common: Common,
    buckets: DataBuckets,
    monitoring: Monitoring,
  ): LakewrightFunction {
    const { options } = common;
    const rekey = new LakewrightFunction(this, 'Rekey', {
      ...common,
      functionName: 'rekey',
      description: 'Rewrites landed objects into partitions by event time',
    });
    monitoring.watch('rekey', rekey.function);
    const queueUrls = jobs.map((job): [string, string] => {
      const { queue } = new RekeyJob(this, `Rekey-${job.name}`, { job, rekey, buckets, monitoring, options });
      return [job.name, queue.queueUrl];
    });
    rekey.function.addEnvironment('LAKEWRIGHT_QUEUES', this.toJsonString(Object.fromEntries(queueUrls)));
    new CfnOutput(this, 'RekeyFunctionName', { value: rekey.function.functionName });
    return rekey;
  }

  private split(jobs: readonly SplitConfig[], common: Common, buckets: DataBuckets, monitoring: Monitoring): void {
    const { options } = common;
    const ephemeralStorage = Size.mebibytes(512);
    // The longest that there is: a result is scanned in one go.
    const planTimeout = Duration.minutes(15);
    const plan = new LakewrightFunction(this, 'SplitPlan', {
      ...common,
      functionName: 'split-plan',
      description: "Cuts a query's result into chunks",
      size: { memory: options.splitPlanMemory, timeout: planTimeout, ephemeralStorage },
    });
    const rows = new LakewrightFunction(this, 'SplitRows', {
      ...common,
      functionName: 'split-rows',
      description: 'Writes each row of a chunk as an object',
      size: { memory: options.splitRowsMemory, timeout: options.splitRowsTimeout, ephemeralStorage },
    });
    grantQueries(plan.role, options.workgroups);
    monitoring.watch('split-plan', plan.function);
    monitoring.watch('split-rows', rows.function);
    const splits = jobs.map(
      (job) => new SplitJob(this, `Split-${job.name}`, { job, plan, planTimeout, rows, buckets, monitoring, options }),
    );
    const queueUrls = splits.map(({ queue }, index): [string, string] => [jobs[index]!.name, queue.queueUrl]);
    plan.function.addEnvironment('LAKEWRIGHT_QUEUES', this.toJsonString(Object.fromEntries(queueUrls)));
    const deadLetters = splits.map(({ deadLetterQueue }) => deadLetterQueue.queueArn);
    rows.function.addEnvironment('LAKEWRIGHT_DEAD_LETTERS', this.toJsonString(deadLetters));
    new CfnOutput(this, 'SplitPlanFunctionName', { value: plan.function.functionName });
    new CfnOutput(this, 'SplitRowsFunctionName', { value: rows.function.functionName });
  }

  private compact(jobs: readonly PlacedJob[], common: Common, buckets: DataBuckets, monitoring: Monitoring): void {
    const { options } = common;
    const { compactMemory: memory, compactTimeout: timeout, ephemeralStorage } = options;
    const size = { memory, timeout, ephemeralStorage };
    const functions = {
      plan: this.worker('CompactPlan', 'compact-plan', 'Finds the partitions with many small files', size, common),
      merge: this.worker('CompactMerge', 'compact-merge', 'Makes one file of many', size, common),
      publish: this.worker('CompactPublish', 'compact-publish', 'Points readers at the new files', size, common),
    };
    for (const [name, worker] of Object.entries(functions)) {
      monitoring.watch(`compact-${name}`, worker.function);
    }
    for (const { job, location } of jobs) {
      const id = `Compact-${(job.table ? formatTable(job.table) : location.key).replaceAll('/', '-')}`;
      new CompactJob(this, id, { job, location, functions, buckets, monitoring, options });
    }
  }

  private repartition(
    jobs: readonly RepartitionConfig[],
    places: ReadonlyMap<string, Location>,
    common: Common,
    buckets: DataBuckets,
    monitoring: Monitoring,
  ): void {
    const { options } = common;
    const { repartitionMemory: memory, repartitionTimeout: timeout, ephemeralStorage } = options;
    const size = { memory, timeout, ephemeralStorage };
    const functions = {
      plan: this.worker('RepartitionPlan', 'repartition-plan', 'Cuts a table into tasks', size, common),
      write: this.worker('RepartitionWrite', 'repartition-write', 'Rewrites one part of a table', size, common),
      commit: this.worker('RepartitionCommit', 'repartition-commit', 'Puts the new files in the place of the old', size, common),
    };
    for (const [name, worker] of Object.entries(functions)) {
      monitoring.watch(`repartition-${name}`, worker.function);
    }
    for (const job of jobs) {
      const source = 'table' in job.source ? places.get(formatTable(job.source)) : job.source;
      if (!source && 'table' in job.source && !job.allowsAnySource) {
        throw new ConfigError(
          `repartition \`${job.name}\`: no job here writes ${formatTable(job.source)}: say where it lies ` +
            `(-c table-locations=${formatTable(job.source)}=s3://bucket/prefix/), or write allow_any_source = true ` +
            'to read every bucket of the account',
        );
      }
      new RepartitionJob(this, `Repartition-${job.name}`, { job, source, functions, buckets, monitoring, options });
    }
  }

  private worker(
    id: string,
    functionName: string,
    description: string,
    size: LakewrightFunctionProps['size'],
    common: Common,
  ): LakewrightFunction {
    const worker = new LakewrightFunction(this, id, { ...common, functionName, description, size });
    new CfnOutput(this, `${id}FunctionName`, { value: worker.function.functionName });
    return worker;
  }
}

/** A compact job, and the location that it compacts. */
interface PlacedJob {
  readonly job: CompactConfig;
  readonly location: Location;
}

/** The locations of tables: those that a job writes, and those in the context. */
function tablePlaces(
  { rekey, repartition }: Config,
  given: ReadonlyMap<string, Location>,
): ReadonlyMap<string, Location> {
  const writers: readonly { table?: TableName; target: Location }[] = [...repartition, ...rekey];
  const written = writers.flatMap(({ table, target }): [string, Location][] => (table ? [[formatTable(table), target]] : []));
  return new Map([...given, ...written]);
}

function placed(jobs: readonly CompactConfig[], places: ReadonlyMap<string, Location>): PlacedJob[] {
  return jobs.map((job) => {
    const location = job.target ?? (job.table && places.get(formatTable(job.table)));
    if (!location) {
      throw new ConfigError(
        `compact \`${subjectOf(job)}\`: no job here writes the table: say where it lies, for what the roles may touch: ` +
          `-c table-locations=${subjectOf(job)}=s3://bucket/prefix/`,
      );
    }
    return { job, location };
  });
}
