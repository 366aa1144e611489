/** State machines that start by themselves, one run at a time. */
import { Duration, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Schedule, ScheduleExpression, ScheduleTargetInput } from 'aws-cdk-lib/aws-scheduler';
import { StepFunctionsStartExecution } from 'aws-cdk-lib/aws-scheduler-targets';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';

/** What an execution's input has beside the request where the schedule started it. */
export const SCHEDULED = 'scheduled';

export interface ScheduleProps {
  readonly description: string;
  /** `off`, `rate(…)` or `cron(…)`. */
  readonly schedule: string;
  readonly stateMachine: sfn.StateMachine;
}

/** Starts a state machine by itself, unless the schedule is off. */
export function startBySchedule(scope: Construct, id: string, { description, schedule, stateMachine }: ScheduleProps): void {
  if (schedule !== 'off') {
    new Schedule(scope, id, {
      description,
      schedule: ScheduleExpression.expression(schedule),
      target: new StepFunctionsStartExecution(stateMachine, { input: ScheduleTargetInput.fromObject({ [SCHEDULED]: true }) }),
    });
  }
}

/** The time between two runs, where the schedule is a rate. */
export function rateOf(schedule: string): Duration | undefined {
  const [, number, unit] = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(schedule) ?? [];
  const durations = { minute: Duration.minutes, hour: Duration.hours, day: Duration.days };
  return unit === undefined ? undefined : durations[unit as keyof typeof durations](Number(number));
}

/**
 * Ends an execution where another of the same state machine runs that began before; `next` otherwise. What is listed may be
 * seconds behind, so two that start together may both go on, which harms nothing: it costs requests.
 * https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
 */
export function aloneThen(scope: Construct, next: sfn.IChainable): sfn.Chain {
  const list = ownExecutions(scope, 'Running', {
    status: 'RUNNING',
    // The newest are listed first: the last is the oldest.
    outputs: '{% {"oldest": $states.result.Executions[-1].ExecutionArn} %}',
  });
  const choice = sfn.Choice.jsonata(scope, 'Alone?')
    .when(
      sfn.Condition.jsonata('{% $exists($states.input.oldest) and $states.input.oldest != $states.context.Execution.Id %}'),
      sfn.Succeed.jsonata(scope, 'Already running', { outputs: '{% {"already_running": $states.input.oldest} %}' }),
    )
    .otherwise(next);
  return sfn.Chain.start(list).next(choice);
}

/** Lists executions of the state machine that runs. */
export function ownExecutions(
  scope: Construct,
  id: string,
  { status, outputs, most }: { status: string; outputs: string; most?: number },
): sfn.CustomState {
  return own(scope, id, 'listExecutions', {
    Arguments: {
      StateMachineArn: '{% $states.context.StateMachine.Id %}',
      StatusFilter: status,
      ...(most === undefined ? {} : { MaxResults: most }),
    },
    Output: outputs,
  });
}

/** A call of Step Functions' own API, about the state machine that runs. */
export function own(scope: Construct, id: string, action: 'listExecutions' | 'describeStateMachine', state: object): sfn.CustomState {
  return new sfn.CustomState(scope, id, {
    stateJson: {
      Type: 'Task',
      QueryLanguage: 'JSONata',
      Resource: `arn:${Stack.of(scope).partition}:states:::aws-sdk:sfn:${action}`,
      Retry: [{ ErrorEquals: ['Sfn.SfnException', 'Sfn.SdkClientException'], IntervalSeconds: 2, BackoffRate: 2, MaxAttempts: 6, JitterStrategy: 'FULL' }],
      ...state,
    },
  });
}

/** Lets a state machine ask about itself. The policy is no part of the role's own, on which the state machine depends. */
export function grantOwn(scope: Construct, { role, stateMachineArn }: sfn.StateMachine, actions: string[]): void {
  new iam.Policy(scope, 'Own', {
    roles: [role],
    statements: [new iam.PolicyStatement({ actions, resources: [stateMachineArn] })],
  });
}
