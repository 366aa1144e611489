import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import type { LakewrightFunction } from './lakewright-function.ts';
import type { Monitoring } from './monitoring.ts';
import type { RekeyConfig } from './config.ts';
import type { Options } from './options.ts';
import { aloneThen, grantOwn, own, SCHEDULED, startBySchedule } from './schedule.ts';
import { call, PLUS, workflow } from './workflow.ts';

export interface SweepProps {
  readonly job: RekeyConfig;
  readonly rekey: LakewrightFunction;
  readonly monitoring: Monitoring;
  readonly options: Options;
}

/**
 * Finds what landed under a job's source and has no commit: by its schedule, and by hand as a backfill.
 *
 * An execution's input is a `SweepRequest` of shared/jobs/src/sweep.rs, whose `sweep` may be left out; its output
 * is the sum of the `SweepReport`s. What the schedule starts looks at a window: at what landed since the deployment, or since the
 * configured time, and in the last days. An execution that sends leaves the work to another one that runs.
 */
export class Sweep extends Construct {
  readonly stateMachine: sfn.StateMachine;

  constructor(scope: Construct, id: string, { job, rekey, monitoring, options }: SweepProps) {
    super(scope, id);

    const name = JSON.stringify(job.name);
    const since = '$exists($states.input.since) ? {"since": $states.input.since} : {}';
    // On the second call and later, the state's input is the sum of the reports before, and `since`.
    const payload = [
      `{"sweep": ${name}}`,
      '$states.context.Execution.Input',
      since,
      '$type($states.input.next) = "string" ? {"after": $states.input.next} : {}',
    ];
    const sweep = call(this, 'Sweep', {
      invokes: rekey,
      payload: `$merge([${payload.join(', ')}])`,
      outputs:
        `( ${PLUS} $now := $states.result.Payload; $before := $states.input; ` +
        '$merge([$exists($before.listed) ? $merge([$plus($before, $now), ' +
        '{"usd": $formatNumber($number($before.usd) + $number($now.usd), "#0.00")}]) : $now, ' +
        `{"next": $now.next}, ${since}]) )`,
      timeout: options.timeout,
    });
    sweep.next(
      sfn.Choice.jsonata(this, 'More?')
        .when(sfn.Condition.jsonata('{% $type($states.input.next) = "string" %}'), sweep)
        .otherwise(sfn.Succeed.jsonata(this, 'Done')),
    );
    // Counted from the start of the execution, so that every page has the same window.
    const window = `$toMillis($states.context.Execution.StartTime) - ${job.sweep.days * 86_400_000}`;
    const after = (begin: string) => `{% {"since": $fromMillis($max([${window}, $toMillis(${begin})]))} %}`;
    const bounded =
      job.sweep.since === undefined
        ? own(this, 'Deployed', 'describeStateMachine', {
            Arguments: { StateMachineArn: '{% $states.context.StateMachine.Id %}' },
            // That of the state machine itself, which no update changes.
            Output: after('$states.result.CreationDate'),
          })
        : sfn.Pass.jsonata(this, 'Since', { outputs: after(JSON.stringify(job.sweep.since)) });
    const begin = sfn.Choice.jsonata(this, 'By schedule?')
      .when(
        sfn.Condition.jsonata(`{% $states.context.Execution.Input.${SCHEDULED} = true %}`),
        sfn.Chain.start(bounded).next(sweep),
      )
      .otherwise(sweep);
    const definition = sfn.Choice.jsonata(this, 'Sends?')
      .when(sfn.Condition.jsonata('{% $states.input.dry_run = true %}'), sweep)
      .otherwise(aloneThen(this, begin));

    this.stateMachine = workflow(this, {
      comment: `Hands what has no commit to the rekey job ${job.name}`,
      definition,
      invokes: [rekey],
      options,
    });
    grantOwn(this, this.stateMachine, [
      'states:ListExecutions',
      ...(job.sweep.since === undefined ? ['states:DescribeStateMachine'] : []),
    ]);
    startBySchedule(this, 'Schedule', {
      description: `Starts the sweep of the rekey job ${job.name}`,
      schedule: job.sweep.schedule,
      stateMachine: this.stateMachine,
    });

    monitoring.alarm(
      `${scope.node.id}-SweepFound`,
      'the-sweep',
      `rekey ${job.name}: a sweep found objects whose event was lost`,
      monitoring.jobMetric(job.name, 'SweepFound'),
    );
    monitoring.alarm(`${scope.node.id}-SweepFailed`, 'the-sweep', `rekey ${job.name}: a sweep failed`, this.stateMachine.metricFailed());
    monitoring.alarm(`${scope.node.id}-SweepTimedOut`, 'the-sweep', `rekey ${job.name}: a sweep did not end in time`, this.stateMachine.metricTimedOut());
  }
}
