/** The coordinator: what file servers ask of the replicated state, and the leases that fence them. */
export type * from "./api.js";
export { type CoordinatorConfig, coordinatorDefaults, validateCoordinatorConfig } from "./config.js";
export { Coordinator, type CoordinatorDeps, createCoordinator } from "./coordinator.js";
export { type Fence } from "./failure-detector.js";
export { LEAVING } from "./field-checks.js";
export { coordinatorHandlers } from "./grpc-handlers.js";
export { localCoordinatorClient } from "./local-client.js";
export { RemoteCoordinatorClient, type RemoteClientSetup } from "./remote-client.js";
export { Witness, type WitnessDeps, type WitnessSink } from "./witness.js";
export { witnessHandlers } from "./witness-handlers.js";
export { planTransfer, requireShare } from "./transfer-plan.js";
export { Transfers, type TransferDeps } from "./transfers.js";
