export * from "./log-oracle.js";
export type { Entry, Finish, Rule } from "./rule.js";
