/** Lakewright for one's own CDK app: `new Lakewright(this, 'Lake', { config: 'lakewright.toml' })`. */
export { ConfigError } from './config.ts';
export { Lakewright, type LakewrightProps } from './lakewright.ts';
export { LakewrightStack, type LakewrightStackProps } from './lakewright-stack.ts';
export type { LakewrightOptions } from './options.ts';
