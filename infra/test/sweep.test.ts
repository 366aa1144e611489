import validate from 'asl-validator';
import { expect, test } from 'vitest';
import { allowed, evaluate, flat, list, resources, template, TWO_JOBS, type Resource } from './support.ts';

const stack = template();
const machines = resources(stack, 'AWS::StepFunctions::StateMachine');
const jobs = ['anpr', 'orders'];

const definition = ({ Properties }: Resource): any => JSON.parse(flat(Properties['DefinitionString']));
const machineOf = (job: string): [string, Resource] => machines.find(([id]) => id.startsWith(`Rekey${job}Sweep`))!;

test('the function knows the queue of every job', () => {
  const [[, fn]] = resources(stack, 'AWS::Lambda::Function') as [[string, Resource]];
  const queueOf = (job: string) =>
    resources(stack, 'AWS::SQS::Queue').find(([id]) => id.startsWith(`Rekey${job}BackfillQueue`))![0];
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

const report = (next: string | null, pages = 1) => ({
  ...{ job: 'sweep', name: 'anpr', listed: 9 * pages, committed: 8 * pages, passed_over: 0, sent: pages },
  ...{ requests: { put: 2 * pages, get: 3 * pages }, usd: (pages * 0.25).toFixed(2), next },
});

test.each([
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

const SINCE = '2026-11-27T10:00:00.000Z';

test('what the schedule starts is asked for with its window, on every page', async () => {
  const input = { scheduled: true };
  expect(await payload(input, { since: SINCE })).toEqual({ sweep: 'anpr', scheduled: true, since: SINCE });
  expect(await payload(input, { ...report('k'), since: SINCE })).toEqual({ sweep: 'anpr', scheduled: true, since: SINCE, after: 'k' });
  const { Output } = ANPR.States.Sweep;
  expect(await evaluate(Output, { input: { since: SINCE }, result: { Payload: report('k') } })).toEqual({ ...report('k'), since: SINCE });
  const second = { input: { ...report('k'), since: SINCE }, result: { Payload: report('l') } };
  expect(await evaluate(Output, second)).toEqual({ ...report('l', 2), since: SINCE });
});

test('the schedule finds what landed since the deployment, in the last days', async () => {
  const { Condition, Next } = ANPR.States['By schedule?'].Choices[0];
  expect([Next, ANPR.States['By schedule?'].Default]).toEqual(['Deployed', 'Sweep']);
  const scheduled = (Input: object) => evaluate(Condition, { input: {}, context: { Execution: { Input } } });
  expect(await scheduled({ scheduled: true })).toBe(true);
  for (const input of [{}, { prefix: '2025/' }]) {
    expect(await scheduled(input)).toBe(false);
  }
  const { Resource, Arguments, Output, Next: next } = ANPR.States.Deployed;
  expect(flat(Resource)).toMatch(/:states:::aws-sdk:sfn:describeStateMachine$/);
  const context = { Execution: { StartTime: '2026-11-30T10:00:00.000Z' }, StateMachine: { Id: 'arn:machine' } };
  expect(await evaluate(Arguments.StateMachineArn, { context })).toBe('arn:machine');
  const window = (deployed: string, output = Output) => evaluate(output, { context, result: { CreationDate: deployed } });
  expect(await window('2026-01-01T00:00:00Z')).toEqual({ since: SINCE });
  expect(await window('2026-11-29T01:02:03Z')).toEqual({ since: '2026-11-29T01:02:03.000Z' });
  expect(next).toBe('Sweep');
  const toml = TWO_JOBS.replace('[[rekey]]', '[[rekey]]\nsweep = { since = "2026-11-20T00:00:00Z", days = 5 }');
  const stated = definition(resources(template(toml), 'AWS::StepFunctions::StateMachine').find(([id]) => id.startsWith('Rekeyanpr'))![1]);
  expect(stated.States.Deployed).toBeUndefined();
  expect(await window('', stated.States.Since.Output)).toEqual({ since: '2026-11-25T10:00:00.000Z' });
});

test.each([
  ['none is listed, not even itself', [], false],
  ['it is alone', ['me'], false],
  ['one began later', ['later', 'me'], false],
  ['one began before', ['me', 'before'], true],
  ['one runs, and it is not listed yet', ['before'], true],
])('it leaves the work to a run that is under way: %s', async (_, running, leaves) => {
  const { Resource, Arguments, Output } = ANPR.States.Running;
  expect(flat(Resource)).toMatch(/:states:::aws-sdk:sfn:listExecutions$/);
  expect(Arguments).toMatchObject({ StatusFilter: 'RUNNING' });
  const context = { Execution: { Id: 'me' } };
  const input = await evaluate(Output, { context, result: { Executions: running.map((ExecutionArn) => ({ ExecutionArn })) } });
  const [{ Condition, Next }] = ANPR.States['Alone?'].Choices;
  expect(await evaluate(Condition, { context, input: input ?? {} })).toBe(leaves);
  expect([Next, ANPR.States['Alone?'].Default]).toEqual(['Already running', 'By schedule?']);
  expect(ANPR.States['Already running'].Type).toBe('Succeed');
});

test.each([
  ['the schedule', { scheduled: true }, 'Running'],
  ['a backfill', { prefix: '2025/' }, 'Running'],
  ['a dry run, which may run beside another', { dry_run: true }, 'Sweep'],
])('who starts it decides where it begins: %s', async (_, input, next) => {
  const { Choices, Default } = ANPR.States[ANPR.StartAt];
  const [{ Condition, Next }, ...others] = Choices;
  expect(others).toEqual([]);
  expect((await evaluate(Condition, { input })) ? Next : Default).toBe(next);
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

test('the result is the sum of the reports', async () => {
  expect(await evaluate(ANPR.States.Sweep.Output, { input: {}, result: { Payload: report(null), StatusCode: 200 } })).toEqual(
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
  const [, policy] = resources(stack, 'AWS::IAM::Policy').find(([policyId]) => policyId.startsWith(`Rekey${job}SweepRole`))!;
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
  expect(JSON.parse(flat(schedules[0]!['Target'].Input))).toEqual({ scheduled: true });
});

test('a sweep may ask about itself alone, and starts when the configuration says so, or never', () => {
  for (const [said, expected] of [['off', []], ['cron(0 3 * * ? *)', ['cron(0 3 * * ? *)']], ['rate(6 hours)', ['rate(6 hours)']]] as const) {
    const of = template(TWO_JOBS.replaceAll('[[rekey]]', `[[rekey]]\nsweep = { schedule = "${said}" }`));
    const found = Object.values(of.findResources('AWS::Scheduler::Schedule')).map(({ Properties }) => Properties['ScheduleExpression']);
    expect(found).toEqual([...expected, ...expected]);
  }
  const own = allowed([resources(stack, 'AWS::IAM::Policy').find(([id]) => id.startsWith('RekeyanprSweepOwn'))![1]]);
  const [machine] = machineOf('anpr');
  expect(own).toEqual(['DescribeStateMachine', 'ListExecutions'].map((action) => `states:${action} <${machine}>`));
});
