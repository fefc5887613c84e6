/** How a node's process is to be started, whoever starts it: `holdfast up`, the demo, benchmarks; deploy/ says the same. */

/**
 * Flags of the JavaScript engine. Young objects get 64 MB halves instead of 16: answers and events of a busy node then
 * die before the collector copies them. A takeover of ten thousand sessions made it copy for 20 to 30 ms without.
 *
 * The old generation is not collected before it has 192 MB: the engine grows a small heap by a tenth between collections,
 * and counts buffers that the next young collection frees, so a busy follower marked all its 40 MB once a second, a sixth
 * of its processor time. It changes nothing for a heap that is larger than that.
 */
export const NODE_FLAGS: readonly string[] = ["--max-semi-space-size=64", "--initial-old-space-size=192"];

/** The database's syncs and the share's files use the thread pool; four threads are few (field-notes 3.1.11). */
export const NODE_ENVIRONMENT: Readonly<Record<string, string>> = { UV_THREADPOOL_SIZE: "16" };
