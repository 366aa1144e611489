import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Loading the CDK and running cdk-nag take seconds on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
