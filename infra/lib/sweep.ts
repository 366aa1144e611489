import { Duration } from 'aws-cdk-lib';
import { Schedule, ScheduleExpression, ScheduleTargetInput } from 'aws-cdk-lib/aws-scheduler';
import { StepFunctionsStartExecution } from 'aws-cdk-lib/aws-scheduler-targets';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { LambdaInvoke } from 'aws-cdk-lib/aws-stepfunctions-tasks';
import { Construct } from 'constructs';
import type { LakewrightFunction } from './lakewright-function.ts';
import type { Monitoring } from './monitoring.ts';
import type { Options } from './options.ts';
import { LAMBDA_FAULTS, workflow } from './workflow.ts';

export interface SweepProps {
  /** The rekey job's name. */
  readonly job: string;
  readonly rekey: LakewrightFunction;
  readonly monitoring: Monitoring;
  readonly options: Options;
}

/**
 * Finds what landed under a job's source and has no commit: once a day, and by hand as a backfill.
 *
 * An execution's input is a `SweepRequest` of shared/jobs/src/sweep.rs, whose `sweep` may be left out; its output
 * is the last `SweepReport`.
 */
export class Sweep extends Construct {
  readonly stateMachine: sfn.StateMachine;

  constructor(scope: Construct, id: string, { job, rekey, monitoring, options }: SweepProps) {
    super(scope, id);

    // On the second call and later, the state's input is the report before.
    const payload = [
      `{"sweep": ${JSON.stringify(job)}}`,
      '$states.context.Execution.Input',
      '$type($states.input.next) = "string" ? {"after": $states.input.next} : {}',
    ];
    const call = LambdaInvoke.jsonata(this, 'Sweep', {
      lambdaFunction: rekey.function,
      payload: sfn.TaskInput.fromText(`{% $merge([${payload.join(', ')}]) %}`),
      outputs: '{% $states.result.Payload %}',
      taskTimeout: sfn.Timeout.duration(options.timeout.plus(Duration.seconds(30))),
      retryOnServiceExceptions: false,
    })
      .addRetry(LAMBDA_FAULTS)
      // The sweep's own failures: messages that were sent stay in the queue, and the same request may be repeated.
      .addRetry({
        errors: [sfn.Errors.TASKS_FAILED, sfn.Errors.TIMEOUT],
        interval: Duration.seconds(30),
        backoffRate: 2,
        maxAttempts: 3,
      });
    const definition = call.next(
      sfn.Choice.jsonata(this, 'More?')
        .when(sfn.Condition.jsonata('{% $type($states.input.next) = "string" %}'), call)
        .otherwise(sfn.Succeed.jsonata(this, 'Done')),
    );

    this.stateMachine = workflow(this, {
      comment: `Hands what has no commit to the rekey job ${job}`,
      definition,
      invokes: [rekey],
      options,
    });

    new Schedule(this, 'Daily', {
      description: `Starts the sweep of the rekey job ${job}`,
      schedule: ScheduleExpression.rate(Duration.days(1)),
      target: new StepFunctionsStartExecution(this.stateMachine, {
        input: ScheduleTargetInput.fromObject({ sweep: job }),
      }),
    });

    monitoring.alarm(`${scope.node.id}-SweepFailed`, `rekey ${job}: a sweep failed`, this.stateMachine.metricFailed());
    monitoring.alarm(`${scope.node.id}-SweepTimedOut`, `rekey ${job}: a sweep did not end in time`, this.stateMachine.metricTimedOut());
  }
}
