/** Runs a state machine's definition as Step Functions does, on a clock of its own: what a test needs of Amazon States Language. */
import { evaluate } from './support.ts';

/** What a function does with a payload. */
export type Invoked = (payload: any) => { answer: unknown; seconds?: number } | { error: string; seconds?: number };

export interface World {
  /** The functions, by the beginning of their logical ids. */
  readonly functions: Readonly<Record<string, Invoked>>;
  /** What is in S3, by bucket and key. */
  readonly objects: Map<string, unknown>;
  /** What `listExecutions` answers, by status. */
  readonly executions?: Readonly<Record<string, readonly object[]>>;
}

export interface Ended {
  readonly output?: any;
  readonly error?: string;
  readonly cause?: string;
  readonly seconds: number;
  /** The states of the execution itself, in their order. */
  readonly path: string[];
  /** The most calls of a function at once. */
  readonly atOnce: Readonly<Record<string, number>>;
}

/** How long a state takes by itself, and an item's execution to begin. */
const STATE = 0.05;
const CHILD = 0.5;

class Failed extends Error {
  readonly error: string;
  readonly reason: string;
  readonly at: number;

  constructor(error: string, reason: string, at: number) {
    super(`${error}: ${reason}`);
    [this.error, this.reason, this.at] = [error, reason, at];
  }
}

/** When calls of each function began and ended. */
type Calls = Record<string, [number, number][]>;

export async function execute(definition: any, input: object, world: World, name = 'run-1'): Promise<Ended> {
  const calls: Calls = {};
  const path: string[] = [];
  const context = { Execution: { Id: 'me', Name: name, Input: input }, StateMachine: { Id: 'machine' } };
  const atOnce = () => Object.fromEntries(Object.entries(calls).map(([fn, spans]) => [fn, overlap(spans)]));
  try {
    const { output, at } = await new Run(world, context, calls, path).states(definition, input, 0);
    return { output, seconds: at, path, atOnce: atOnce() };
  } catch (failed) {
    if (!(failed instanceof Failed)) {
      throw failed;
    }
    return { error: failed.error, cause: failed.reason, seconds: failed.at, path, atOnce: atOnce() };
  }
}

function overlap(spans: [number, number][]): number {
  const edges = spans.flatMap(([begin, end]): [number, number][] => [[begin, 1], [end, -1]]);
  edges.sort(([a, up], [b, down]) => a - b || up - down);
  let now = 0;
  return edges.reduce((most, [, step]) => Math.max(most, (now += step)), 0);
}

class Run {
  private readonly world: World;
  private readonly context: any;
  private readonly calls: Calls;
  private readonly path: string[];

  constructor(world: World, context: any, calls: Calls, path: string[] = []) {
    [this.world, this.context, this.calls, this.path] = [world, context, calls, path];
  }

  async states({ States, StartAt }: any, given: any, begin: number): Promise<{ output: any; at: number }> {
    let [name, input, at]: [string, any, number] = [StartAt, given, begin];
    for (;;) {
      this.path.push(name);
      const state = States[name];
      at += STATE;
      const resolve = (value: any, more: object = {}) => this.resolve(value, { input, context: this.context, ...more });
      const output = async (more: object, otherwise: any) => (state.Output === undefined ? otherwise : resolve(state.Output, more));
      let next: string | undefined = state.Next;
      switch (state.Type) {
        case 'Choice': {
          next = state.Default;
          for (const { Condition, Next } of state.Choices) {
            if ((await resolve(Condition)) === true) {
              next = Next;
              break;
            }
          }
          break;
        }
        case 'Pass':
          input = await output({}, input);
          break;
        case 'Wait':
          at += await resolve(state.Seconds);
          input = await output({}, input);
          break;
        case 'Fail':
          throw new Failed(await resolve(state.Error), await resolve(state.Cause), at);
        case 'Succeed':
          return { output: await output({}, input), at };
        case 'Map':
          at = await this.map(state, input, at);
          break;
        case 'Task': {
          try {
            const { answer, seconds } = this.call(state.Resource, await resolve(state.Arguments), at);
            at += seconds;
            input = await output({ result: answer }, answer);
          } catch (failed) {
            const caught = failed instanceof Failed && state.Catch?.find(({ ErrorEquals }: any) => ErrorEquals.includes('States.ALL'));
            if (!caught) {
              throw failed;
            }
            const { error, reason } = failed as Failed;
            at = (failed as Failed).at;
            input = await resolve(caught.Output, { errorOutput: { Error: error, Cause: reason } });
            next = caught.Next;
          }
          break;
        }
        default:
          throw new Error(`no state ${name} of type ${state.Type}`);
      }
      if (next === undefined) {
        return { output: input, at };
      }
      name = next;
    }
  }

  /** A distributed map in JSONPath over a list in S3, whose output is discarded. */
  private async map({ ItemReader, ItemSelector, ItemProcessor, MaxConcurrency, ResultPath }: any, input: any, begin: number): Promise<number> {
    if (ResultPath !== null) {
      throw new Error('the results of a map are limited');
    }
    const path = (text: string) => text.split('.').slice(1).reduce((value, field) => value[field], input);
    const { 'Bucket.$': bucket, 'Key.$': key } = ItemReader.Parameters;
    const items = this.world.objects.get(`${path(bucket)}/${path(key)}`) as any[] | undefined;
    if (!items || items.length === 0) {
      throw new Failed('States.ItemReaderFailed', `no items at ${path(bucket)}/${path(key)}`, begin);
    }
    if (JSON.stringify(ItemSelector) !== '{"run.$":"$$.Execution.Name","item.$":"$$.Map.Item.Value"}') {
      throw new Error(`no such input: ${JSON.stringify(ItemSelector)}`);
    }
    // When each of the slots is free again.
    const free = Array.from({ length: MaxConcurrency }, () => begin);
    for (const item of items) {
      const slot = free.indexOf(Math.min(...free));
      const child = new Run(this.world, { Execution: { Id: 'child', Name: 'child' } }, this.calls);
      const { output, at } = await child.states(ItemProcessor, { run: this.context.Execution.Name, item }, free[slot]! + CHILD);
      if (JSON.stringify(output) !== '{}') {
        throw new Error(`an item's output: ${JSON.stringify(output)}`);
      }
      free[slot] = at;
    }
    return Math.max(...free);
  }

  private call(resource: string, given: any, at: number): { answer: unknown; seconds: number } {
    const [, service, action] = /:([a-z0-9]+):([A-Za-z0-9]+)$/.exec(resource)!;
    switch (`${service}:${action}`) {
      case 'lambda:invoke': {
        const name = Object.keys(this.world.functions).find((id) => given.FunctionName.startsWith(`<${id}`))!;
        const { seconds = 1, ...done } = this.world.functions[name]!(given.Payload);
        (this.calls[name] ??= []).push([at, at + seconds]);
        if ('error' in done) {
          throw new Failed(done.error, `of ${JSON.stringify(given.Payload)}`, at + seconds);
        }
        return { answer: { Payload: done.answer }, seconds };
      }
      case 's3:putObject':
        this.world.objects.set(`${given.Bucket}/${given.Key}`, given.Body);
        return { answer: {}, seconds: STATE };
      case 's3:listObjectsV2': {
        const within = `${given.Bucket}/${given.Prefix}`;
        const keys = [...this.world.objects.keys()].filter((key) => key.startsWith(within)).sort();
        const found = keys.slice(0, given.MaxKeys).map((key) => ({ Key: key.slice(given.Bucket.length + 1), Size: 1 }));
        // S3 names none where there is none.
        return { answer: found.length === 0 ? { KeyCount: 0 } : { Contents: found, IsTruncated: keys.length > found.length }, seconds: STATE };
      }
      case 'sfn:listExecutions':
        return { answer: { Executions: this.world.executions?.[given.StatusFilter] ?? [] }, seconds: STATE };
      default:
        throw new Error(`no call ${resource}`);
    }
  }

  private async resolve(value: any, states: object): Promise<any> {
    if (typeof value === 'string') {
      return value.startsWith('{%') ? plain(await evaluate(value, states)) : value;
    }
    if (Array.isArray(value)) {
      return Promise.all(value.map((each) => this.resolve(each, states)));
    }
    if (typeof value === 'object' && value !== null) {
      const entries = Object.entries(value).map(async ([key, each]) => [key, await this.resolve(each, states)]);
      return Object.fromEntries(await Promise.all(entries));
    }
    return value;
  }
}

/** As JSON, of which an evaluated array has more. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
