/** How a node's process is to be started, whoever starts it: `holdfast up`, the demo, benchmarks; deploy/ says the same. */

/**
 * Flags of the JavaScript engine. Young objects get 64 MB halves instead of 16: answers and events of a busy node then
 * die before the collector copies them. A takeover of ten thousand sessions made it copy for 20 to 30 ms without.
 */
export const NODE_FLAGS: readonly string[] = ["--max-semi-space-size=64"];

/** The database's syncs and the share's files use the thread pool; four threads are few (field-notes 3.1.11). */
export const NODE_ENVIRONMENT: Readonly<Record<string, string>> = { UV_THREADPOOL_SIZE: "16" };
