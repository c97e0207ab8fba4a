// What the Node programs share: a plan from the command line, one line of JSON for each step of it.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

export const plan = JSON.parse(process.argv[2]);

/** A package of the directory that the plan names, so that one program runs with several versions. */
export const sdk = (name) => import(pathToFileURL(createRequire(`${plan.packages}/x.js`).resolve(name)));

const post = (path, body) => fetch(plan.control + path, {
    method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' },
});

export async function run(modes) {
    for (const { mode, turns } of plan.steps) {
        await post('/reset', null);
        await post(`/${plan.model_vendor}/turns`, turns);
        const outcome = await modes[mode]().then(
            (result) => ({ result }),
            (error) => ({ error: `${error.name}: ${error.message}` }),
        );
        console.log(JSON.stringify({ mode, ...outcome }));
    }
}
