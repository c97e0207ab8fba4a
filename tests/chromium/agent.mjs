// A client on the official TypeScript SDK that says nothing of elicitation, so that its calls wait for the person.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

export class Agent {
    static async connect(url) {
        const agent = new Agent();
        agent.client = new Client({ name: 'travel-agent', version: '1.4.0' }, { capabilities: {} });
        await agent.client.connect(new StreamableHTTPClientTransport(new URL(url)));
        return agent;
    }

    call(name, args) {
        const result = this.client.callTool({ name, arguments: args });
        // Whoever waits for it sees why it failed; nobody does when a check has failed before.
        result.catch(() => {});
        return result;
    }

    tools() {
        return this.client.listTools();
    }

    close() {
        return this.client.close();
    }
}
