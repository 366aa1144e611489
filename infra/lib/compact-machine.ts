import { Stack, type Duration } from 'aws-cdk-lib';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import type { Stored } from './config.ts';
import type { LakewrightFunction } from './lakewright-function.ts';
import { formatLocation, type Location } from './location.ts';
import type { Options } from './options.ts';
import { aloneThen, grantOwn, ownExecutions, SCHEDULED } from './schedule.ts';
import { call, forEachOfList, PLUS, workflow } from './workflow.ts';

/** The functions that all compact jobs share. */
export interface CompactFunctions {
  readonly plan: LakewrightFunction;
  readonly merge: LakewrightFunction;
  readonly publish: LakewrightFunction;
}

export interface CompactMachineProps {
  /** The part of a request that names the job: `{"table": …}` or `{"target": …}`. */
  readonly request: Readonly<Record<string, string>>;
  readonly title: string;
  /** Where runs note what failed in them. */
  readonly failed: Location;
  /** How they do. */
  readonly stored: Stored;
  /** Whether the first run says what would be done, and does nothing. */
  readonly dryRunFirst: boolean;
  readonly functions: CompactFunctions;
  readonly options: Options;
}

/**
 * The most failures that the error of an execution names. A state has 256 KiB at most, and a key 1,024 bytes.
 * https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
 */
const NAMED = 200;

/** JSONata: where an object with this URI is. */
const PLACE =
  '$place := function($uri) { {"bucket": $split($uri, "/")[2], ' +
  '"key": $join($filter($split($uri, "/"), function($part, $index) { $index > 2 }), "/")} };';

/**
 * Plans, makes all merges, publishes all partitions, waits once, and sweeps them. Where `compact-plan` saw only a part of the
 * partitions, it plans, merges and publishes the rest before it waits.
 *
 * An execution's input is a request to `compact-plan` without its table (`partitions`, `dry_run`, `status`); its output is
 * that function's answer, without its tasks. A partition that fails keeps no other from going on; at the end the execution
 * fails and names it, and the next one takes it up again. Each failure is an object of the ledger by then, so that any number
 * of them can be named.
 */
export class CompactMachine extends Construct {
  readonly stateMachine: sfn.StateMachine;

  constructor(scope: Construct, id: string, props: CompactMachineProps) {
    super(scope, id);
    const { request, title, dryRunFirst, functions, options } = props;
    const { compactTimeout: timeout, compactConcurrency: maxConcurrency } = options;

    const plan = this.plan(functions.plan, request, timeout);
    const each = (id: string, list: 'merges' | 'items', inner: (scope: Construct) => sfn.IChainable) =>
      forEachOfList(this, id, {
        list: `$.round.${list}`,
        maxConcurrency,
        input: { run: sfn.JsonPath.stringAt('$$.Execution.Name'), item: sfn.JsonPath.objectAt('$$.Map.Item.Value') },
        each: inner,
      });
    const merges = each('Merges', 'merges', (inner) =>
      call(inner, 'Merge', {
        invokes: functions.merge,
        payload: '{"plan": $states.input.item.plan, "task": $states.input.item.task}',
        outputs: '{}',
        timeout,
      }).addCatch(this.note(inner, 'Note merge', props), FAILED),
    );
    const publications = each('Publications', 'items', (inner) =>
      sfn.Choice.jsonata(inner, 'Due?')
        .when(sfn.Condition.jsonata('{% $states.input.item.step = "sweep" %}'), nothing(inner, 'Later'))
        .otherwise(
          call(inner, 'Publish', {
            invokes: functions.publish,
            payload: step('$states.input.item.step'),
            outputs: '{}',
            timeout,
          }).addCatch(this.note(inner, 'Note publication', props), FAILED),
        ),
    );
    const report = sfn.Pass.jsonata(this, 'Report', { outputs: '{% $merge([$states.input.report, {"failures": []}]) %}' });
    const done = sfn.Succeed.jsonata(this, 'Done');
    const failures = this.failures(props, done);
    const next = sfn.Choice.jsonata(this, 'All seen?').when(
      sfn.Condition.jsonata('{% $type($states.input.report.next) = "string" %}'),
      plan,
    );
    // Without a catalog, there is nothing to sweep.
    if ('table' in request) {
      next.when(sfn.Condition.jsonata('{% $count($states.input.sweeps) > 0 %}'), this.sweep(each, functions, timeout, props, failures));
    }
    next.when(sfn.Condition.jsonata('{% $states.input.worked = true %}'), failures).otherwise(report.next(done));
    merges.next(publications);
    publications.next(next);
    plan.next(
      sfn.Choice.jsonata(this, 'What?')
        // A status.
        .when(sfn.Condition.jsonata('{% $not($exists($states.input.report)) %}'), done)
        .when(sfn.Condition.jsonata('{% $exists($states.input.round.merges) %}'), merges)
        .when(sfn.Condition.jsonata('{% $exists($states.input.round.items) %}'), publications)
        .otherwise(next),
    );
    const first = ownExecutions(this, 'Earlier runs', {
      status: 'SUCCEEDED',
      most: 1,
      outputs: '{% $count($states.result.Executions) = 0 ? {"first": true} : {} %}',
    });
    const begin = dryRunFirst
      ? sfn.Choice.jsonata(this, 'First?')
          // Input by hand takes precedence.
          .when(sfn.Condition.jsonata('{% $exists($states.context.Execution.Input.dry_run) %}'), plan)
          .otherwise(first.next(plan))
      : plan;
    const definition = sfn.Choice.jsonata(this, 'Writes?')
      .when(sfn.Condition.jsonata('{% $states.input.dry_run = true or $states.input.status = true %}'), plan)
      .otherwise(aloneThen(this, begin));
    this.stateMachine = workflow(this, {
      comment: `Compacts ${title}`,
      definition,
      invokes: [functions.plan, functions.merge, functions.publish],
      options,
    });
    grantOwn(this, this.stateMachine, ['states:ListExecutions']);
  }

  /** Plans what no earlier round has seen. Its output has the sum of all rounds' reports, and what this round is to do. */
  private plan(invokes: LakewrightFunction, request: CompactMachineProps['request'], timeout: Duration): sfn.TaskStateBase {
    return call(this, 'Plan', {
      invokes,
      payload:
        '$merge([$exists($states.input.first) or $states.input.report.dry_run = true ? {"dry_run": true} : {}, ' +
        `$sift($states.context.Execution.Input, function($v, $k) { $k != "${SCHEDULED}" }), ` +
        '$type($states.input.report.next) = "string" ? {"after": $states.input.report.next} : {}, ' +
        `${JSON.stringify(request)}])`,
      outputs:
        `( ${PLACE} ${PLUS} $now := $states.result.Payload; $before := $states.input.report; ` +
        '$report := $sift($now, function($v, $k) { $not($k in ["tasks", "items", "merges", "wait_seconds"]) }); ' +
        '$is_work := $now.dry_run = false and $now.items > 0; ' +
        '$exists($now.partitions_seen) ? $merge([{' +
        '"report": $exists($before) ? $merge([$plus($before, $report), {' +
        '"partitions_unseen": $now.partitions_unseen, ' +
        '"refused": [$append($before.refused, $now.refused)[[0..49]]], ' +
        '"usd": $formatNumber($number($before.usd) + $number($now.usd), "#0.00")}]) : $report, ' +
        '"worked": $is_work or $states.input.worked = true, ' +
        '"wait_seconds": $max([$now.wait_seconds, $states.input.wait_seconds, 0]), ' +
        '"sweeps": [$states.input.sweeps, $is_work and $now.wait_seconds > 0 ? $place($now.plan)]}, ' +
        '$is_work ? {"round": $merge([{"items": $place($now.plan)}, $now.merges_planned > 0 ? {"merges": $place($now.merges)} : {}])} : {}' +
        ']) : $now )',
      timeout,
    });
  }

  /** Waits until no earlier writer can still be running, and sweeps what all rounds published. */
  private sweep(
    each: (id: string, list: 'items', inner: (scope: Construct) => sfn.IChainable) => sfn.DistributedMap,
    { publish }: CompactFunctions,
    timeout: Duration,
    props: CompactMachineProps,
    failures: sfn.IChainable,
  ): sfn.IChainable {
    const wait = sfn.Wait.jsonata(this, 'Wait', { time: sfn.WaitTime.seconds('{% $states.input.wait_seconds %}') });
    const list = sfn.Pass.jsonata(this, 'Next list', {
      outputs:
        '{% $merge([$states.input, {"round": {"items": $states.input.sweeps[0]}, ' +
        '"sweeps": [$filter($states.input.sweeps, function($v, $i) { $i > 0 })]}]) %}',
    });
    const sweeps = each('Sweeps', 'items', (inner) => {
      const sweep = call(inner, 'Sweep', {
        invokes: publish,
        payload: step('"sweep"'),
        outputs: '$merge([$states.input, {"next": $states.result.Payload.next, "wait_seconds": $states.result.Payload.wait_seconds}])',
        timeout,
      }).addCatch(this.note(inner, 'Note sweep', props), FAILED);
      const early = sfn.Wait.jsonata(inner, 'Early', { time: sfn.WaitTime.seconds('{% $states.input.wait_seconds %}') });
      return sfn.Choice.jsonata(inner, 'To sweep?')
        .when(
          sfn.Condition.jsonata('{% $states.input.item.step in ["publish", "sweep"] %}'),
          sweep.next(
            sfn.Choice.jsonata(inner, 'Swept?')
              .when(sfn.Condition.jsonata('{% $states.input.next.step = "sweep" %}'), early.next(sweep))
              // Or it is not published, and that has been noted.
              .otherwise(nothing(inner, 'Stands')),
          ),
        )
        .otherwise(nothing(inner, 'Nothing to sweep'));
    });
    wait.next(list).next(sweeps).next(
      sfn.Choice.jsonata(this, 'All swept?')
        .when(sfn.Condition.jsonata('{% $count($states.input.sweeps) > 0 %}'), list)
        .otherwise(failures),
    );
    return wait;
  }

  /** Lists what failed in this run, and fails if anything did. */
  private failures({ failed }: CompactMachineProps, done: sfn.IChainable): sfn.CustomState {
    const prefix = `${JSON.stringify(failed.key)} & $states.context.Execution.Name & "/"`;
    const list = new sfn.CustomState(this, 'Failures', {
      stateJson: {
        ...s3(this, 'listObjectsV2'),
        Arguments: { Bucket: failed.bucket, Prefix: `{% ${prefix} %}`, MaxKeys: NAMED },
        Output:
          `{% ( $found := $map($states.result.Contents, function($object) { ( $name := $substringAfter($object.Key, ${prefix}); ` +
          '$error := $split($name, "/")[-1]; ' +
          '{"partition": $substring($name, 0, $length($name) - $length($error)), "error": $error} ) }); ' +
          // It follows from a merge that failed, which is named.
          '$merge([$states.input.report, {"failures": [$filter($found, function($f) { ' +
          '$f.error != "Lakewright.NotMerged" or $count($found[partition = $f.partition]) = 1 })]}]) ) %}',
      },
    });
    const cause =
      '{"failures": $states.input.failures, ' +
      `"all": ${JSON.stringify(formatLocation(failed))} & $states.context.Execution.Name & "/"}`;
    list.next(
      sfn.Choice.jsonata(this, 'All done?')
        .when(
          sfn.Condition.jsonata('{% $count($states.input.failures) > 0 %}'),
          sfn.Fail.jsonata(this, 'Partitions failed', {
            error: 'Lakewright.PartitionsFailed',
            cause: `{% $substring($string(${cause}), 0, 30000) %}`,
          }),
        )
        .otherwise(done),
    );
    return list;
  }

  /**
   * Notes a failure in the ledger: its key names the partition and the error. The results of a map are limited, and what S3
   * keeps is not. Step Functions writes an object as JSON.
   * https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
   */
  private note(scope: Construct, id: string, { failed, stored }: CompactMachineProps): sfn.CustomState {
    const key = `${JSON.stringify(failed.key)} & $states.input.run & "/" & $states.input.partition & $states.input.error`;
    return new sfn.CustomState(scope, id, {
      stateJson: {
        ...s3(scope, 'putObject'),
        Arguments: {
          Bucket: failed.bucket,
          Key: `{% ${key} %}`,
          Body: '{% {"partition": $states.input.partition, "error": $states.input.error, "cause": $states.input.cause} %}',
          ContentType: 'application/json',
          ...(stored.encryptionAlgorithm === undefined ? {} : { ServerSideEncryption: stored.encryptionAlgorithm }),
          ...(stored.encryptionKey === undefined ? {} : { SsekmsKeyId: stored.encryptionKey }),
        },
        Output: '{% {} %}',
      },
    });
  }
}

/** What is caught of a call, with the name of the run and of the partition. */
const FAILED: sfn.CatchProps = {
  errors: [sfn.Errors.ALL],
  outputs:
    '{% {"run": $states.input.run, "partition": $states.input.item.partition, "error": $states.errorOutput.Error, ' +
    '"cause": $substring($states.errorOutput.Cause, 0, 10000)} %}',
};

/** JSONata: a request to `compact-publish`. */
function step(which: string): string {
  return `{"plan": $states.input.item.plan, "partition": $states.input.item.partition, "step": ${which}}`;
}

function nothing(scope: Construct, id: string): sfn.Pass {
  return sfn.Pass.jsonata(scope, id, { outputs: {} });
}

/** A call of S3 by the state machine itself. */
function s3(scope: Construct, action: 'listObjectsV2' | 'putObject'): object {
  return {
    Type: 'Task',
    QueryLanguage: 'JSONata',
    Resource: `arn:${Stack.of(scope).partition}:states:::aws-sdk:s3:${action}`,
    Retry: [
      {
        ErrorEquals: ['S3.S3Exception', 'S3.SdkClientException'],
        IntervalSeconds: 2,
        BackoffRate: 2,
        MaxAttempts: 6,
        JitterStrategy: 'FULL',
      },
    ],
  };
}
