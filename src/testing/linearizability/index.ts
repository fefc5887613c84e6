export * from "./check.js";
export * from "./explain.js";
export * from "./fair-refusals.js";
export * from "./history.js";
export * from "./lock-model.js";
export * from "./open-table-model.js";
export * from "./range-lock-model.js";
export * from "./register-model.js";
