// Asks IAM questions offline. On stdin one JSON object:
//   policies: name → policy document
//   questions: [{principal, action, resource, account, context, identity: [name], resource_policy: name}]
// On stdout the answers, in order: "Allowed", "ImplicitlyDenied" or "ExplicitlyDenied",
// or "wrong: " and what no such request can have.
import { loadPolicy } from "@cloud-copilot/iam-policy";
import { allowedContextKeysForRequest, isConditionKeyArray, isWildcardOnlyAction, typeForContextKey } from "@cloud-copilot/iam-simulate";

// runSimulation passes over kms:EncryptionContext:…, and runUnsafeSimulation stumbles over policies of
// resources. What they call does neither, and is ten times as fast.
const internal = "./node_modules/@cloud-copilot/iam-simulate/dist/esm/";
const { authorize } = await import(internal + "core_engine/CoreSimulatorEngine.js");
const { DiscoveryContextKeyConstraints } = await import(internal + "context_keys/discoveryContextKeyConstraints.js");
const { AwsRequestImpl } = await import(internal + "request/request.js");
const { RequestContextImpl } = await import(internal + "requestContext.js");

let text = "";
for await (const chunk of process.stdin) text += chunk;
const { policies, questions } = JSON.parse(text);

// remember keeps what f gave for an argument.
const remember = (f) => {
  const known = new Map();
  return (...of) => {
    const key = of.join(" ");
    if (!known.has(key)) known.set(key, f(...of));
    return known.get(key);
  };
};

// keysOf are the condition keys that a request can have; it throws for a
// resource that the action does not take. Of the tags that count everywhere,
// only a principal's do; the others must stand with the action.
const keysOf = remember(async (action, resource) => {
  const [service, name] = action.split(":");
  if (await isWildcardOnlyAction(service, name) !== (resource === "*")) throw new Error(`${action} does not take ${resource}`);
  return (await allowedContextKeysForRequest(service, name, resource, false)).map((k) => k.replace(/\$\{.*|(?<=^aws:principaltag\/)tag-key$/, "*"));
});
const isList = remember(async (key) => isConditionKeyArray(await typeForContextKey(key.toLowerCase())));

const loaded = remember((name) => loadPolicy(policies[name], { name }));

async function answer(q) {
  const context = {};
  try {
    // What AWS owns is in no account, which the data do not know.
    const known = await keysOf(q.action, q.resource.replace(/^(arn:aws:ssm:[^:]*)::/, "$1:111122223333:"));
    for (const [key, values] of Object.entries(q.context)) {
      const k = key.toLowerCase();
      if (!known.some((p) => (p.endsWith("*") ? k.startsWith(p.slice(0, -1)) : k === p))) throw new Error(`${q.action} has no condition key ${key}`);
      context[key] = (await isList(key)) ? values : values[0];
    }
  } catch (e) {
    return "wrong: " + e.message;
  }
  const request = new AwsRequestImpl(q.principal, { resource: q.resource, accountId: q.account }, q.action, new RequestContextImpl(context));
  return authorize({
    request,
    identityPolicies: q.identity.map(loaded),
    resourcePolicy: q.resource_policy && loaded(q.resource_policy),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    simulationParameters: { simulationMode: "Strict", discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([]) },
    serviceSettings: {},
  }).result;
}

const answers = [];
for (const q of questions) answers.push(await answer(q));
process.stdout.write(JSON.stringify(answers));
