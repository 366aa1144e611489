import type { Duration } from 'aws-cdk-lib';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import type { LakewrightFunction } from './lakewright-function.ts';
import type { Options } from './options.ts';
import { aloneThen, grantOwn, ownExecutions, SCHEDULED } from './schedule.ts';
import { call, forEach, forEachOfList, workflow } from './workflow.ts';

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
  /** Whether the first run says what would be done, and does nothing. */
  readonly dryRunFirst: boolean;
  readonly functions: CompactFunctions;
  readonly options: Options;
}

/** The most partitions that are a part of the execution itself, whose history has room for 25,000 events. */
const INLINE_PARTITIONS = 100;

/** Merges of one partition at a time. */
const MERGES_AT_ONCE = 10;

/**
 * Plans, and for each partition merges, publishes, waits and sweeps.
 *
 * An execution's input is a request to `compact-plan` without its table (`partitions`, `dry_run`, `status`); its output is
 * that function's answer, without its tasks. A partition that fails keeps no other from going on; at the end the execution
 * fails and names it, and the next one takes it up again.
 */
export class CompactMachine extends Construct {
  readonly stateMachine: sfn.StateMachine;

  constructor(scope: Construct, id: string, props: CompactMachineProps) {
    super(scope, id);
    const { request, title, dryRunFirst, functions, options } = props;
    const { compactTimeout: timeout, maxConcurrency } = options;

    const plan = call(this, 'Plan', {
      invokes: functions.plan,
      payload:
        `$merge([$exists($states.input.first) ? {"dry_run": true} : {}, ` +
        `$sift($states.context.Execution.Input, function($v, $k) { $k != "${SCHEDULED}" }), ${JSON.stringify(request)}])`,
      timeout,
    });
    const each = (inner: Construct, suffix: string) => this.partition(inner, suffix, functions, timeout);
    const without = (field: string) => `$sift($states.input, function($v, $k) { $k != "${field}" })`;
    const few = forEach(this, 'Partitions', {
      items: '$states.input.tasks',
      maxConcurrency,
      outputs: `$merge([${without('tasks')}, {"failures": [$states.result[$exists(error)]]}])`,
      each,
    });
    const list = sfn.Pass.jsonata(this, 'List', {
      outputs:
        `{% $merge([${without('tasks')}, {"list": {"bucket": $split($states.input.plan, "/")[2], ` +
        '"key": $join($filter($split($states.input.plan, "/"), function($part, $index) { $index > 2 }), "/")}}]) %}',
    });
    const many = list
      .next(forEachOfList(this, 'Partitions of list', { list: '$.list', resultPath: '$.results', maxConcurrency, each }))
      .next(
        sfn.Pass.jsonata(this, 'Failures', {
          outputs:
            '{% $merge([$sift($states.input, function($v, $k) { $not($k in ["list", "results"]) }), ' +
            '{"failures": [$states.input.results[$exists(error)]]}]) %}',
        }),
      );
    const done = sfn.Succeed.jsonata(this, 'Done');
    const settled = sfn.Choice.jsonata(this, 'All done?')
      .when(
        sfn.Condition.jsonata('{% $count($states.input.failures) > 0 %}'),
        sfn.Fail.jsonata(this, 'Partitions failed', {
          error: 'Lakewright.PartitionsFailed',
          cause: '{% $substring($string($states.input.failures), 0, 30000) %}',
        }),
      )
      .otherwise(done);
    few.next(settled);
    many.next(settled);
    plan.next(
      sfn.Choice.jsonata(this, 'What?')
        .when(
          sfn.Condition.jsonata('{% $states.input.dry_run = true or $type($states.input.plan) != "string" %}'),
          done,
        )
        .when(
          sfn.Condition.jsonata(`{% $count($states.input.tasks) in [1..${INLINE_PARTITIONS}] %}`),
          few,
        )
        // The list is not empty where a partition was seen that is neither left as it is nor refused.
        .when(
          sfn.Condition.jsonata(
            '{% $states.input.partitions_seen > $sum([$states.input.left.*]) + $states.input.partitions_refused %}',
          ),
          list,
        )
        .otherwise(done),
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

  /** An item of the plan: its output is empty, or names what failed. */
  private partition(
    scope: Construct,
    suffix: string,
    { merge, publish }: CompactFunctions,
    timeout: Duration,
  ): sfn.IChainable {
    const left = sfn.Pass.jsonata(scope, `Left${suffix}`);
    const caught: sfn.CatchProps = {
      errors: [sfn.Errors.ALL],
      outputs:
        '{% {"partition": $states.input.partition, "error": $states.errorOutput.Error, ' +
        '"cause": $substring($states.errorOutput.Cause, 0, 1000)} %}',
    };
    const merges = forEach(scope, `Merges${suffix}`, {
      items: '$states.input.merges',
      maxConcurrency: MERGES_AT_ONCE,
      outputs: '$states.input',
      each: (inner) => call(inner, `Merge${suffix}`, { invokes: merge, payload: '$states.input', timeout }),
    }).addCatch(left, caught);
    const step = call(scope, `Publish${suffix}`, {
      invokes: publish,
      payload:
        '{"plan": $states.input.plan, "partition": $states.input.partition, "step": $states.input.step}',
      timeout,
    }).addCatch(left, caught);
    const wait = sfn.Wait.jsonata(scope, `Wait${suffix}`, {
      time: sfn.WaitTime.seconds('{% $states.input.wait_seconds %}'),
      outputs: '{% $states.input.next %}',
    });
    return merges.next(step).next(
      sfn.Choice.jsonata(scope, `More steps?${suffix}`)
        .when(sfn.Condition.jsonata('{% $type($states.input.next) = "object" %}'), wait.next(step))
        .otherwise(sfn.Pass.jsonata(scope, `Stands${suffix}`, { outputs: {} })),
    );
  }
}
