import validate from 'asl-validator';
import { expect, test } from 'vitest';
import { evaluate, flat, list, resources, template, TWO_JOBS, type Resource } from './support.ts';

const stack = template();
const machines = resources(stack, 'AWS::StepFunctions::StateMachine');
const jobs = ['anpr', 'orders'];

const definition = ({ Properties }: Resource): any => JSON.parse(flat(Properties['DefinitionString']));
const machineOf = (job: string): [string, Resource] => machines.find(([id]) => id.startsWith(`Rekey${job}Sweep`))!;

test('the function knows the queue of every job', () => {
  const [[, fn]] = resources(stack, 'AWS::Lambda::Function') as [[string, Resource]];
  const queueOf = (job: string) =>
    resources(stack, 'AWS::SQS::Queue').find(([id]) => id.startsWith(`Rekey${job}Queue`))![0];
  expect(JSON.parse(flat(fn.Properties['Environment'].Variables.LAKEWRIGHT_QUEUES))).toEqual({
    anpr: `<${queueOf('anpr')}>`,
    orders: `<${queueOf('orders')}>`,
  });
});

test.each(jobs)('the state machine of %s is valid Amazon States Language', (job) => {
  const { isValid, errorsText } = validate(definition(machineOf(job)[1]), { checkPaths: true });
  expect(errorsText()).toBe('');
  expect(isValid).toBe(true);
});

test('the validator is at work', () => {
  const broken = definition(machineOf('anpr')[1]);
  broken.States.Sweep.Next = 'Nowhere';
  expect(validate(broken).isValid).toBe(false);
});

const ANPR = definition(machineOf('anpr')[1]);
const payload = (executionInput: object, stateInput: object) =>
  evaluate(ANPR.States.Sweep.Arguments.Payload, {
    input: stateInput,
    context: { Execution: { Input: executionInput } },
  });

const report = (next: string | null) => ({ job: 'sweep', name: 'anpr', listed: 9, committed: 8, passed_over: 0, sent: 1, next });

test.each([
  ['the schedule', { sweep: 'anpr' }, undefined, { sweep: 'anpr' }],
  ['no input', {}, undefined, { sweep: 'anpr' }],
  ['a backfill', { prefix: '2025/' }, undefined, { sweep: 'anpr', prefix: '2025/' }],
  ['a start in the middle', { after: 'k' }, undefined, { sweep: 'anpr', after: 'k' }],
  [
    'the next page',
    { sweep: 'anpr', prefix: '2025/', after: 'k', min_age_seconds: 0 },
    'l',
    { sweep: 'anpr', prefix: '2025/', after: 'l', min_age_seconds: 0 },
  ],
])('the function is asked for: %s', async (_, input, next, asked) => {
  expect(await payload(input, next === undefined ? input : report(next))).toEqual(asked);
});

test.each([
  ['there is more', report('k'), 'Sweep'],
  ['all is listed', report(null), 'Done'],
  ['the answer is no report, so that it never loops', {}, 'Done'],
])('where it goes on: %s', async (_, input, next) => {
  const { Choices, Default } = ANPR.States[ANPR.States.Sweep.Next];
  const [{ Condition, Next }, ...others] = Choices;
  expect(others).toEqual([]);
  expect((await evaluate(Condition, { input })) ? Next : Default).toBe(next);
});

test('the result is the last report', async () => {
  expect(await evaluate(ANPR.States.Sweep.Output, { result: { Payload: report(null), StatusCode: 200 } })).toEqual(
    report(null),
  );
  expect(ANPR.States.Done).toEqual({ Type: 'Succeed', QueryLanguage: 'JSONata' });
});

test('a call outlives the function, and is made again after a fault', () => {
  const { TimeoutSeconds, Retry } = definition(
    resources(template(TWO_JOBS, { timeout: 900 }), 'AWS::StepFunctions::StateMachine')[0]![1],
  ).States.Sweep;
  expect(TimeoutSeconds).toBeGreaterThan(900);
  const retried = Retry.flatMap(({ ErrorEquals }: { ErrorEquals: string[] }) => ErrorEquals);
  expect(retried).toEqual(expect.arrayContaining(['Lambda.TooManyRequestsException', 'Lakewright.StoreFailed', 'Lakewright.QueueFailed', 'States.Timeout']));
  for (const { BackoffRate, MaxAttempts } of Retry) {
    expect(BackoffRate).toBeGreaterThan(1);
    expect(MaxAttempts).toBeGreaterThan(1);
  }
});

test.each(jobs)('the sweep of %s is a standard workflow that may invoke rekey, and logs under the shared prefix', (job) => {
  const [id, { Properties }] = machineOf(job);
  expect(Properties['StateMachineType'] ?? 'STANDARD').toBe('STANDARD');
  const [, logs] = resources(stack, 'AWS::Logs::LogGroup').find(
    ([group]) => flat(Properties['LoggingConfiguration'].Destinations[0].CloudWatchLogsLogGroup.LogGroupArn) === `<${group}.Arn>`,
  )!;
  expect(logs.Properties['LogGroupName']).toMatch(new RegExp(`^/aws/vendedlogs/states/Lakewright-.*${job}`));

  const [[rekey]] = resources(stack, 'AWS::Lambda::Function') as [[string, Resource]];
  const [, policy] = resources(stack, 'AWS::IAM::Policy').find(([policyId]) => policyId.startsWith(`Rekey${job}Sweep`))!;
  const allowed = policy.Properties['PolicyDocument'].Statement.filter(({ Resource }: any) => Resource !== '*');
  expect(allowed.flatMap(({ Action, Resource }: any) => list(Resource).map((of) => `${Action} ${flat(of)}`))).toEqual([
    `lambda:InvokeFunction <${rekey}.Arn>`,
    `lambda:InvokeFunction <${rekey}.Arn>:*`,
  ]);

  const schedules = resources(stack, 'AWS::Scheduler::Schedule')
    .map(([, schedule]) => schedule.Properties)
    .filter(({ Target }) => flat(Target.Arn) === `<${id}>`);
  expect(schedules).toEqual([
    expect.objectContaining({ ScheduleExpression: 'rate(1 day)', State: 'ENABLED' }),
  ]);
  expect(JSON.parse(flat(schedules[0]!['Target'].Input))).toEqual({ sweep: job });
});
