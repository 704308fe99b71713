// The Browser API, of the Backend's OpenAPI by `npm run types`. Not written by hand.

export interface paths {
    "/api/connection-tests": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Tries a remote Runtime that is not added. */
        post: operations["test_connection"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What changes in all Runtimes, and the events of the Workers that are followed.
         * @description `changed` tells that a Worker has a new event, and `runtime` that a Runtime came, went, is reached again or
         *     not any more: hints, of which none is repeated. Of each Worker that is followed comes what its own stream
         *     would tell, under the same names, with `runtime_id` and `worker_id`; what is in its log has its `cursor`,
         *     where a client goes on that opens the stream anew. `follow.failed` ends one of them.
         */
        get: operations["events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether this browser is signed in, and whether it could be with a password. */
        get: operations["sign_in_state"];
        put?: never;
        /**
         * Signs a browser in with the password.
         * @description The answer to whatever is not the password is the same. Who tries too many has to wait longer each time, and
         *     until then also the right one does not count. Only a page of this server may ask.
         */
        post: operations["sign_in"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/login-links": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Makes a link that signs one browser in, once, within ten minutes.
         * @description Not at an address that other machines reach: there, browsers sign in with the password.
         */
        post: operations["create_login_link"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ends the session of the browser that asks, and its event streams. */
        post: operations["sign_out"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This document. */
        get: operations["openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All Runtimes. One that does not answer in time is listed as unavailable, with the reason. */
        get: operations["runtimes"];
        put?: never;
        /**
         * Adds a remote Runtime, whether it answers now or not.
         * @description Its token crosses no API: the Backend reads it where the request says that it is.
         */
        post: operations["add_runtime"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One Runtime, as it stands in the list. */
        get: operations["runtime"];
        /**
         * Reaches a remote Runtime that the API added in another way from now on, such as with the token that its
         *     file holds since the last rotation. Streams that are open go on as they were opened.
         */
        put: operations["replace_runtime"];
        post?: never;
        /** Removes a Runtime that the API added. Its Workers stay where they are. */
        delete: operations["remove_runtime"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/components": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Keeps a component, to upgrade Workers to.
         * @description Its bytes are the body. For programs with the access token: a page of a browser brings no code.
         */
        post: operations["keep_component"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/components/{digest}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Removes a component that no profile and no Worker goes by. */
        delete: operations["remove_component"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The events of all Workers of a Runtime: a page, or a stream. Not where only some of them are visible here. */
        get: operations["runtime_events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/launch": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What a Worker that is created now would be granted. */
        get: operations["preview_launch"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/test": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Tries a remote Runtime. One that could not be asked, since its token was not there, is asked if it is now. */
        post: operations["test_runtime"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The Workers of one Runtime, oldest first. */
        get: operations["runtime_workers"];
        put?: never;
        /** Creates a Worker, with what the launch policy grants its profile in its workspace. */
        post: operations["create_worker"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One Worker. */
        get: operations["worker"];
        put?: never;
        post?: never;
        /** Deletes a stopped Worker, with its log. */
        delete: operations["delete_worker"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Cancels the running turn, or the one that is named. */
        post: operations["cancel_turn"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The events of a Worker: a page, or a stream.
         * @description The stream is for who sends `Accept: text/event-stream`. The data of its messages are `LiveEvent`s, and
         *     their `event` is the type; those in the log have the place after them as `id`. A `problem` is the last.
         */
        get: operations["worker_events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/input": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Gives a Worker an input.
         * @description It is in the log before it is answered. A client that goes away cancels nothing.
         */
        post: operations["give_input"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/items/{item_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One item of a Worker's transcript, whole. */
        get: operations["item"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/logs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What a Worker's guests printed. */
        get: operations["logs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/revoke": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Takes grants away from a Worker, and ends the turn that runs with them. */
        post: operations["revoke_grants"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/start": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Starts a stopped Worker. */
        post: operations["start_worker"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/stop": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Stops a Worker: no more turns, until it is started. */
        post: operations["stop_worker"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/transcript": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A piece of a Worker's transcript, always bounded. */
        get: operations["transcript"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/turns/{turn_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A turn, and its outcome once it has ended.
         * @description With `wait_ms` the answer is held until then, or for as long as that.
         */
        get: operations["turn"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/upgrade": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Moves a Worker to another component, between two turns. */
        post: operations["upgrade_worker"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/runtimes/{runtime_id}/workers/{worker_id}/usage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What a Worker's turns took. */
        get: operations["worker_usage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/workers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The Workers of all Runtimes, oldest first. What a Runtime does not tell in time is a diagnostic.
         * @description Those of a workspace have its name as the label `workspace`.
         */
        get: operations["workers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/workspaces": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The workspaces in which Workers can be created. */
        get: operations["workspaces"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * @description What may be done below a directory.
         * @enum {string}
         */
        Access: "read-only" | "read-write";
        /** @description Which turn to cancel; none means whichever runs. */
        CancelBody: {
            turn_id?: null | components["schemas"]["TurnId"];
        };
        /**
         * @description A WIT interface that a grant links into a component.
         * @enum {string}
         */
        Capability: "llm" | "shell";
        /** @description One thing a Runtime may be able to do. */
        CapabilityStatus: {
            /**
             * @description Whether it is there: whether a Worker can be granted it, or for `confinement`, whether the
             *     process is confined.
             */
            available: boolean;
            /** @description Its name, such as `llm` or `filesystem`. */
            name: string;
            /** @description Why not, where it is not; and what is missing, where it is in part. */
            reason?: string | null;
        };
        /** @description The SHA-256 of a component's bytes, written `sha256:` and 64 lower-case hexadecimal digits. */
        ComponentDigest: string;
        /** @description A component: one that ships with the product, `builtin:NAME`, or one by the digest of its bytes, `sha256:…`. */
        ComponentRef: string;
        /**
         * @description The SHA-256 of a configuration, whatever its order and comments; written as that of a component. It tells two
         *     configurations apart, and nothing of what is in them.
         */
        ConfigDigest: components["schemas"]["ComponentDigest"];
        /** @description A typed setting. */
        ConfigValue: boolean | number | string;
        /** @description What a connection test found. */
        ConnectionTest: {
            /** @description Its name for eyes. */
            display_name: string;
            /**
             * Format: uint64
             * @description How long its answer took, in milliseconds.
             */
            latency_ms: number;
            /** @description What the Runtime calls itself. */
            runtime_id: components["schemas"]["RuntimeId"];
            /** @description Its version. */
            version: string;
        };
        /** @description What is asked for. A browser cannot ask for grants: the launch policy has them. */
        CreateBody: {
            /** @description A name for eyes only, at most 256 bytes. */
            display_name?: string | null;
            grants?: null | components["schemas"]["Grants"];
            input?: null | components["schemas"]["Input"];
            /** @description What to file it under. */
            labels?: {
                [key: string]: string;
            };
            profile?: null | components["schemas"]["ProfileName"];
            workspace?: null | components["schemas"]["WorkspaceName"];
        };
        /** @description A reader's place in a Worker's log: everything up to it has been seen. Opaque; a bare sequence number is taken, too. */
        Cursor: string;
        /** @description An item of which a page shows the beginning only. */
        CutItem: {
            /**
             * Format: uint64
             * @description The bytes of all its content.
             */
            bytes: number;
            /** @description The item. */
            item_id: components["schemas"]["ItemId"];
        };
        /** @description Something an operator should look at. It names no host path and no secret. */
        Diagnostic: {
            /** @description A stable word for the kind of trouble. */
            code: string;
            /** @description What is wrong and what would mend it. */
            message: string;
        };
        /** @description A durable fact in a Worker's log. */
        Event: components["schemas"]["EventBody"] & {
            /**
             * Format: date-time
             * @description When it was decided, by the host's clock. Clocks step; order is `seq`'s alone.
             */
            at: string;
            /** @description Its place in the log: 1 for the first, and no gaps. */
            seq: components["schemas"]["Seq"];
            /** @description The Worker it is about. */
            worker_id: components["schemas"]["WorkerId"];
        };
        /** @description What happened. Readers skip kinds they do not know. */
        EventBody: {
            /** @description The bytes of its logic. */
            component: components["schemas"]["ComponentDigest"];
            /** @description A name for eyes only. */
            display_name?: string | null;
            /** @description What it may do. */
            grants: components["schemas"]["Grants"];
            /** @description What a Worker was filed under by its creator: keys of at most 63 bytes, values of at most 256. */
            labels?: {
                [key: string]: string;
            };
            /** @description The profile it was made from, as it was then: what the Worker goes by. */
            profile: components["schemas"]["Profile"];
            /** @enum {string} */
            type: "worker.created";
        } | {
            /** @enum {string} */
            type: "worker.stopped";
        } | {
            /** @enum {string} */
            type: "worker.started";
        } | {
            /** @enum {string} */
            type: "worker.deleted";
        } | {
            /** @description The bytes of its logic. */
            component: components["schemas"]["ComponentDigest"];
            /** @description The profile as it is now. */
            profile: components["schemas"]["Profile"];
            /** @enum {string} */
            type: "worker.upgraded";
        } | {
            /** @description What was taken away. */
            grants: components["schemas"]["Grant"][];
            /** @enum {string} */
            type: "grant.revoked";
        } | {
            /** @description The log begins after this event now. */
            through: components["schemas"]["Seq"];
            /** @enum {string} */
            type: "worker.trimmed";
        } | {
            /** @description The user's message. */
            item: components["schemas"]["Item"];
            /** @description The turn it starts. */
            turn_id: components["schemas"]["TurnId"];
            /** @enum {string} */
            type: "input.accepted";
        } | {
            /** @description The user's message. */
            parts: components["schemas"]["InputPart"][];
            /** @description The turn it will start. */
            turn_id: components["schemas"]["TurnId"];
            /** @enum {string} */
            type: "input.queued";
        } | {
            /** @description The user's message. */
            parts: components["schemas"]["InputPart"][];
            /** @description The running turn. */
            turn_id: components["schemas"]["TurnId"];
            /** @enum {string} */
            type: "input.steered";
        } | {
            resumes?: null | components["schemas"]["TurnId"];
            /** @description The turn. */
            turn_id: components["schemas"]["TurnId"];
            /** @enum {string} */
            type: "turn.started";
        } | {
            /** @description How it ended. */
            outcome: components["schemas"]["Outcome"];
            /** @description What it took. */
            receipt: components["schemas"]["Receipt"];
            /** @description The turn. */
            turn_id: components["schemas"]["TurnId"];
            /** @enum {string} */
            type: "turn.ended";
        } | {
            /** @description The item, with `status: in_progress`. */
            item: components["schemas"]["Item"];
            /** @description The turn it belongs to. */
            turn_id: components["schemas"]["TurnId"];
            /** @enum {string} */
            type: "item.started";
        } | {
            /** @description The item, with `status: completed` or `incomplete`. */
            item: components["schemas"]["Item"];
            /** @description The turn it belongs to. */
            turn_id: components["schemas"]["TurnId"];
            /** @enum {string} */
            type: "item.completed";
        } | {
            /** @description The model asked. */
            model: components["schemas"]["ModelAlias"];
            /** @description What the provider counted. */
            tokens: components["schemas"]["TokenUsage"];
            /** @description The turn that made the call. */
            turn_id: components["schemas"]["TurnId"];
            /** @enum {string} */
            type: "usage.recorded";
        } | {
            /** @description The key. */
            key: string;
            /** @description The turn that changed it. */
            turn_id: components["schemas"]["TurnId"];
            /** @enum {string} */
            type: "state.set";
            /** @description The new value; absent where the key was removed. */
            value?: string | null;
        } | {
            /** @description How much it matters. */
            level: components["schemas"]["NoticeLevel"];
            /** @description One or more sentences. */
            text: string;
            /** @enum {string} */
            type: "notice";
        } | {
            /** @enum {string} */
            type: "unknown";
        };
        /** @description A page of events, oldest first. */
        EventPage: {
            /** @description The events. */
            events: components["schemas"]["Event"][];
            /** @description Pass it as `after` for what follows. */
            next: components["schemas"]["Cursor"];
        };
        /**
         * @description What kind of failure ended a turn.
         * @enum {string}
         */
        FailureKind: "guest" | "trap" | "limit" | "missing_grant" | "preopen_unavailable" | "internal" | "unknown";
        /** @description A reader's place in the feed of a Runtime: everything up to it has been seen. Opaque, and never the cursor of a Worker's log. */
        FeedCursor: string;
        /**
         * @description A page of a Runtime's feed: the events of all its Workers, in the order in which they were
         *     committed.
         */
        FeedPage: {
            /** @description What the page does not have although it was committed, since it cannot be read any more. */
            diagnostics?: components["schemas"]["Diagnostic"][];
            /** @description The events. */
            events: components["schemas"]["Event"][];
            /** @description Pass it as `after` for what follows. */
            next: components["schemas"]["FeedCursor"];
        };
        /** @description One grant of a Worker, by its name: a capability, such as `llm`, or a directory where the guest sees it, such as `preopen:/workspace`. */
        Grant: string;
        /** @description What a Worker may do beyond computing and answering. Absent means not granted. */
        Grants: {
            llm?: null | components["schemas"]["LlmGrant"];
            /** @description Directories. In a ceiling, where a guest would see them does not matter. */
            preopens?: components["schemas"]["Preopen"][];
            shell?: null | components["schemas"]["ShellGrant"];
        };
        /** @description Where a guest sees a directory, such as `/workspace`. At most 4,096 bytes, and 255 in each name. */
        GuestPath: string;
        /**
         * @description What to do with an input while another turn runs.
         * @enum {string}
         */
        IfBusy: "reject" | "queue" | "steer";
        /**
         * @description What kind of thing runs a Worker's logic.
         * @enum {string}
         */
        Implementation: "component" | "unknown";
        /** @description What starts a turn: a message in parts, or one text. */
        Input: {
            /** @description The text. */
            text: string;
        } | {
            /** @description The message, in order; at least one part says something. */
            parts: components["schemas"]["InputPart"][];
        };
        /** @description The acceptance of an input. The input is in the log. */
        InputAccepted: {
            /** @description Its place in the log; events after it tell what becomes of it. */
            seq: components["schemas"]["Seq"];
            /** @description What became of it. */
            status: components["schemas"]["InputDisposition"];
            /** @description The turn it starts; the running one, where it is steered. */
            turn_id: components["schemas"]["TurnId"];
        };
        /**
         * @description An input, and how it is to be taken.
         * @example {
         *       "text": "hello"
         *     }
         */
        InputBody: {
            /** @description What to do while another turn runs. */
            if_busy?: components["schemas"]["IfBusy"];
            /** @description The text. */
            text: string;
        } | {
            /** @description What to do while another turn runs. */
            if_busy?: components["schemas"]["IfBusy"];
            /** @description The message, in order; at least one part says something. */
            parts: components["schemas"]["InputPart"][];
        };
        /**
         * @description What became of an input that was accepted.
         * @enum {string}
         */
        InputDisposition: "running" | "queued" | "steered" | "unknown";
        /** @description A piece of an input message. */
        InputPart: {
            /** @description The text. */
            text: string;
            /** @enum {string} */
            type: "text";
        } | {
            /** @description The data. */
            json: unknown;
            /** @enum {string} */
            type: "json";
        } | {
            /** @description Its bytes in standard base64. */
            data: string;
            /** @description Its media type, such as `image/png`. */
            media_type: string;
            /** @enum {string} */
            type: "image";
        };
        /** @description One entry of a Worker's transcript. */
        Item: components["schemas"]["ItemBody"] & {
            /** @description The item's ordinal in its Worker. */
            id: components["schemas"]["ItemId"];
            /** @description Who vouches for it. */
            origin: components["schemas"]["Origin"];
            /** @description Whether it is finished. */
            status: components["schemas"]["ItemStatus"];
            /** @description The turn it belongs to. */
            turn_id: components["schemas"]["TurnId"];
        };
        /** @description What an item is. */
        ItemBody: {
            /** @enum {string} */
            kind: "user_message";
            /** @description The message, in order; at least one part. */
            parts: components["schemas"]["InputPart"][];
        } | {
            /** @enum {string} */
            kind: "assistant_message";
            model?: null | components["schemas"]["ModelAlias"];
            /** @description The text so far, or all of it once the item is completed. */
            text: string;
        } | {
            /** @enum {string} */
            kind: "reasoning";
            /** @description The readable part; providers may show none of it. */
            text: string;
        } | {
            /** @description The arguments, as the caller gave them. */
            arguments: unknown;
            /** @description Pairs the call with its result; unique within the Worker. */
            call_id: string;
            /** @enum {string} */
            kind: "tool_call";
            /** @description The tool. */
            name: string;
        } | {
            /** @description The call this answers. */
            call_id: string;
            /** @enum {string} */
            kind: "tool_result";
            /** @description How it ended. */
            outcome: components["schemas"]["ToolOutcome"];
            /** @description What the caller was told. */
            text: string;
        } | {
            /** @enum {string} */
            kind: "notice";
            /** @description How much it matters. */
            level: components["schemas"]["NoticeLevel"];
            /** @description One or more sentences. */
            text: string;
        } | {
            /** @enum {string} */
            kind: "unknown";
        };
        /** @description A piece of an open item. */
        ItemDelta: {
            /** @description The item. */
            item_id: components["schemas"]["ItemId"];
            /**
             * Format: uint64
             * @description Where in the item's text the piece begins, in bytes of UTF-8.
             */
            offset: number;
            /** @description The piece. */
            text: string;
        };
        /**
         * Format: uint64
         * @description The ordinal of an item within its Worker's transcript: the first is 1.
         */
        ItemId: number;
        /** @description All of an open item so far. */
        ItemSnapshot: {
            /** @description The item. */
            item_id: components["schemas"]["ItemId"];
            /** @description Its text so far. */
            text: string;
        };
        /**
         * @description Whether an item is finished.
         * @enum {string}
         */
        ItemStatus: "in_progress" | "completed" | "incomplete";
        /** @description A component that a Runtime keeps. */
        KeptComponent: {
            /** @description What a Worker has to be granted that goes by it, unless its profile says that it can do without. */
            capabilities: components["schemas"]["Capability"][];
            /** @description What it is named by, also where a Worker is upgraded to it. */
            digest: components["schemas"]["ComponentDigest"];
            /** @description What it imports, as it names it. */
            imports: string[];
        };
        /** @description What a Worker would be granted. */
        LaunchPreview: {
            /** @description The same in plain words, a line for each grant; empty where it may do nothing. */
            authority: string[];
            /** @description What it may do. The Runtime has a ceiling of its own, and refuses what exceeds it. */
            grants: components["schemas"]["Grants"];
            /** @description The profile. */
            profile: components["schemas"]["ProfileName"];
            workspace?: null | components["schemas"]["WorkspaceName"];
        };
        /**
         * @description The bounds of every turn, Worker and Runtime. Each is enforced, and each is visible in the
         *     Runtime's summary.
         */
        Limits: {
            /**
             * Format: uint64
             * @description The most memory, in bytes of address space, that compiling a component may take, where a
             *     helper process compiles. Default: 1 GiB.
             */
            compile_memory_bytes?: number;
            /**
             * Format: uint64
             * @description The longest a component may take to compile, in milliseconds, where a helper process
             *     compiles. Default: 60 seconds.
             */
            compile_ms?: number;
            /**
             * Format: uint64
             * @description The largest component, in bytes. Default: 64 MiB.
             */
            component_bytes?: number;
            /**
             * Format: uint64
             * @description Events per second that a turn may record, after as many at once; a guest that is faster
             *     waits. Default: 1,000.
             */
            events_per_second?: number;
            /**
             * Format: uint64
             * @description The most bytes that one call over the guest's border may carry. Default: 4 MiB.
             */
            host_call_bytes?: number;
            /**
             * Format: uint64
             * @description The most bytes of one input or one item. Default: 1 MiB.
             */
            item_bytes?: number;
            /**
             * Format: uint64
             * @description The most scripts and commands that run at once in all turns. Default: 1,024.
             */
            live_commands?: number;
            /**
             * Format: uint64
             * @description The most turns that run at once; more wait. Default: 64 per core.
             */
            live_turns?: number;
            /**
             * Format: uint64
             * @description The most memory that turns may hold together, in bytes: each that runs has
             *     `turn_memory_bytes` of it, and more wait. Default: half of the memory that this process may
             *     use, and at least 256 MiB.
             */
            memory_total?: number;
            /**
             * Format: uint64
             * @description The most files and directories that turns may have open together; the process needs some more.
             *     Default: half of what the system lets this process open.
             */
            open_files?: number;
            /**
             * Format: uint64
             * @description The most inputs that may wait for a Worker, queued and steered together. Default: 32.
             */
            queue?: number;
            /**
             * Format: uint64
             * @description The most bytes of a Worker's private directory, `scratch`: what its files hold, and 4 KiB for
             *     each name. Default: 1 GiB.
             */
            scratch_bytes?: number;
            /**
             * Format: uint64
             * @description The most bytes of a Worker's durable state, keys and values together. Default: 64 KiB.
             */
            state_bytes?: number;
            /**
             * Format: uint64
             * @description The most scripts and commands of a turn that run at once. Default: 16.
             */
            turn_commands?: number;
            /**
             * Format: uint64
             * @description The longest a turn may compute, in milliseconds. Default: 60 seconds.
             */
            turn_cpu_ms?: number;
            /**
             * Format: uint64
             * @description The most bytes that a turn may write to files, all of them together; each name that it makes
             *     counts as 4 KiB. Default: 4 GiB.
             */
            turn_file_bytes?: number;
            /**
             * Format: uint64
             * @description The most resource handles a turn's guest may hold, and each of its scripts and commands. Default:
             *     1,024.
             */
            turn_handles?: number;
            /**
             * Format: uint64
             * @description The most core instances of a turn's guest, and of each of its scripts and commands. Default: 32.
             */
            turn_instances?: number;
            /**
             * Format: uint64
             * @description The most bytes of guest output (stdout and stderr) kept of a turn. Default: 64 KiB.
             */
            turn_log_bytes?: number;
            /**
             * Format: uint64
             * @description The most linear memory a turn may hold, in bytes, summed over all memories of its guest, and of its
             *     scripts and commands.
             *     Default: 256 MiB.
             */
            turn_memory_bytes?: number;
            /**
             * Format: uint64
             * @description The most files and directories that a turn may have open. Default: 256.
             */
            turn_open_files?: number;
            /**
             * Format: uint64
             * @description The most bytes that the scripts and commands of a turn may write to their standard streams, all of
             *     them together. Default: 1 GiB.
             */
            turn_output_bytes?: number;
            /**
             * Format: uint64
             * @description The most bytes that a turn may add to its Worker's log. Default: 64 MiB.
             */
            turn_record_bytes?: number;
            /**
             * Format: uint64
             * @description The most elements of each table. Default: 10,000.
             */
            turn_table_elements?: number;
            /**
             * Format: uint64
             * @description The longest a turn may take, in milliseconds. Default: 10 minutes.
             */
            turn_wall_ms?: number;
            /**
             * Format: uint64
             * @description The most Workers a Runtime keeps. Default: 1,000,000.
             */
            workers?: number;
        };
        /** @description What a subscriber of one Worker receives. */
        LiveEvent: components["schemas"]["Event"] | components["schemas"]["ItemDelta"] | components["schemas"]["ItemSnapshot"];
        /** @description Which models may be called. */
        LlmGrant: {
            /** @description The aliases; what stands behind them is the operator's choice. */
            models: components["schemas"]["ModelAlias"][];
        };
        /** @description A line that a guest printed. */
        LogLine: {
            /** @description Where it was printed to. */
            stream: components["schemas"]["LogStream"];
            /** @description The line, without its end. */
            text: string;
            /** @description The turn that printed it. */
            turn_id: components["schemas"]["TurnId"];
        };
        /**
         * @description What the guests of a Worker printed, oldest first; the newest turns only. What is not kept any more
         *     is counted in a line of the host's.
         */
        LogPage: {
            /** @description The lines. */
            lines: components["schemas"]["LogLine"][];
        };
        /**
         * @description Where a guest's line came from.
         * @enum {string}
         */
        LogStream: "stdout" | "stderr" | "host";
        /** @description A link that signs one browser in. */
        LoginLink: {
            /** @description Path and query of the address. */
            url_path: string;
        };
        /**
         * @description Who said that a Runtime is to be registered.
         * @enum {string}
         */
        ManagedBy: "config" | "api" | "unknown";
        /**
         * @description The name under which a model is granted and asked for; which provider and model stand behind
         *     it is the operator's secret.
         */
        ModelAlias: string;
        /** @description A model alias, as far as a caller may know it. */
        ModelStatus: {
            /** @description The alias. */
            alias: components["schemas"]["ModelAlias"];
            /** @description The model's name at the provider. */
            model: string;
            /** @description The provider's kind, such as `openai` or `offline`. */
            provider: string;
        };
        /**
         * @description How much a notice matters.
         * @enum {string}
         */
        NoticeLevel: "info" | "warning";
        /** @description An answer about one Worker, with both halves of its identity. */
        OfWorker_EventPage: {
            /** @description The events. */
            events: components["schemas"]["Event"][];
            /** @description Pass it as `after` for what follows. */
            next: components["schemas"]["Cursor"];
        } & {
            runtime_id: components["schemas"]["RuntimeId"];
            worker_id: components["schemas"]["WorkerId"];
        };
        /** @description An answer about one Worker, with both halves of its identity. */
        OfWorker_InputAccepted: {
            /** @description Its place in the log; events after it tell what becomes of it. */
            seq: components["schemas"]["Seq"];
            /** @description What became of it. */
            status: components["schemas"]["InputDisposition"];
            /** @description The turn it starts; the running one, where it is steered. */
            turn_id: components["schemas"]["TurnId"];
        } & {
            runtime_id: components["schemas"]["RuntimeId"];
            worker_id: components["schemas"]["WorkerId"];
        };
        /** @description An answer about one Worker, with both halves of its identity. */
        OfWorker_Item: (components["schemas"]["ItemBody"] & {
            /** @description The item's ordinal in its Worker. */
            id: components["schemas"]["ItemId"];
            /** @description Who vouches for it. */
            origin: components["schemas"]["Origin"];
            /** @description Whether it is finished. */
            status: components["schemas"]["ItemStatus"];
            /** @description The turn it belongs to. */
            turn_id: components["schemas"]["TurnId"];
        }) & {
            runtime_id: components["schemas"]["RuntimeId"];
            worker_id: components["schemas"]["WorkerId"];
        };
        /** @description An answer about one Worker, with both halves of its identity. */
        OfWorker_LogPage: {
            /** @description The lines. */
            lines: components["schemas"]["LogLine"][];
        } & {
            runtime_id: components["schemas"]["RuntimeId"];
            worker_id: components["schemas"]["WorkerId"];
        };
        /** @description An answer about one Worker, with both halves of its identity. */
        OfWorker_TranscriptPage: {
            /** @description The Worker's log up to which the page is true; subscribe from here. */
            cursor: components["schemas"]["Cursor"];
            /** @description Which of them are not shown whole: each can be fetched by its id. */
            cut?: components["schemas"]["CutItem"][];
            first_item?: null | components["schemas"]["ItemId"];
            /** @description The items. */
            items: components["schemas"]["Item"][];
            last_item?: null | components["schemas"]["ItemId"];
            /** @description Whether newer items exist. */
            more_after: boolean;
            /** @description Whether older items exist. */
            more_before: boolean;
        } & {
            runtime_id: components["schemas"]["RuntimeId"];
            worker_id: components["schemas"]["WorkerId"];
        };
        /** @description An answer about one Worker, with both halves of its identity. */
        OfWorker_TurnResult: {
            /** @description How it ended. */
            outcome: components["schemas"]["Outcome"];
            /** @description The place of its input in the log. */
            seq: components["schemas"]["Seq"];
            /** @description The turn. */
            turn_id: components["schemas"]["TurnId"];
        } & {
            runtime_id: components["schemas"]["RuntimeId"];
            worker_id: components["schemas"]["WorkerId"];
        };
        /** @description An answer about one Worker, with both halves of its identity. */
        OfWorker_TurnView: {
            outcome?: null | components["schemas"]["Outcome"];
            /** @description The turn. */
            turn_id: components["schemas"]["TurnId"];
        } & {
            runtime_id: components["schemas"]["RuntimeId"];
            worker_id: components["schemas"]["WorkerId"];
        };
        /** @description An answer about one Worker, with both halves of its identity. */
        OfWorker_WorkerUsage: {
            /** @description Whether there are turns before the first of these; pass its id as `before`. */
            more_before: boolean;
            /** @description All turns together. */
            total: components["schemas"]["Usage"];
            /** @description Turns that ended, oldest first. */
            turns: components["schemas"]["TurnUsage"][];
        } & {
            runtime_id: components["schemas"]["RuntimeId"];
            worker_id: components["schemas"]["WorkerId"];
        };
        /**
         * @description Who vouches for an item.
         * @enum {string}
         */
        Origin: "host" | "guest";
        /** @description How a turn ended. */
        Outcome: {
            /** @enum {string} */
            status: "completed";
        } | {
            /** @description What kind of failure. */
            kind: components["schemas"]["FailureKind"];
            /** @description The reason, for a person. */
            message: string;
            /** @enum {string} */
            status: "failed";
        } | {
            /** @description Who or what asked. */
            reason: components["schemas"]["StopReason"];
            /** @enum {string} */
            status: "cancelled";
        } | {
            /** @enum {string} */
            status: "interrupted";
        } | {
            /** @enum {string} */
            status: "unknown";
        };
        /** @description Workers in numbers. */
        Overview: {
            /**
             * Format: uint64
             * @description Workers that could take an input.
             */
            idle: number;
            /**
             * Format: uint64
             * @description Workers with a turn.
             */
            running: number;
            /**
             * Format: uint64
             * @description Workers that were stopped.
             */
            stopped: number;
            /**
             * Format: uint64
             * @description Workers whose log or component cannot be loaded.
             */
            unavailable?: number;
            /** @description What all turns took together. */
            usage: components["schemas"]["Usage"];
        };
        /** @description A directory below a root, as a guest sees it. */
        Preopen: {
            /** @description What may be done there; absent means looking. */
            access?: components["schemas"]["Access"];
            /** @description Where the guest sees it. */
            guest_path: components["schemas"]["GuestPath"];
            /** @description The directory below the root; absent means the root itself. */
            path?: components["schemas"]["RootPath"];
            /** @description The root, by the operator's name for it; `scratch` is the Worker's own private directory. */
            root: components["schemas"]["RootName"];
            /** @description Whether another Worker may write there at the same time, if it says so too. */
            shared?: boolean;
        };
        /** @description An error (RFC 9457). Some codes have fields of their own; those that programs go by are named. */
        Problem: {
            /**
             * @description What went wrong, for programs.
             * @enum {string}
             */
            code: "busy" | "worker_stopped" | "worker_not_stopped" | "worker_unavailable" | "unknown_worker" | "unknown_item" | "unknown_profile" | "unknown_component" | "component_in_use" | "unknown_runtime" | "remote_auth_failed" | "remote_timeout" | "remote_incompatible" | "runtime_exists" | "runtime_in_use" | "missing_grant" | "grant_exceeds_ceiling" | "preopen_unavailable" | "exposes_git_dir" | "scope_conflict" | "invalid_component" | "invalid_input" | "invalid_cursor" | "cursor_gap" | "idempotency_conflict" | "payload_too_large" | "unauthorized" | "forbidden" | "capacity" | "runtime_unavailable" | "store_damaged" | "unsupported" | "internal" | "not_found" | "method_not_allowed" | "unsupported_media_type" | "too_many_requests";
            /** @description What went wrong, for people. */
            detail: string;
            /** @description Of `cursor_gap`: where the log begins now. */
            oldest?: components["schemas"]["Cursor"];
            /** @description Whether the same request may succeed later without anybody changing anything. */
            retryable: boolean;
            /** @description The status of the answer. */
            status: number;
            /** @description What the status is called. */
            title: string;
            /** @description Of `busy`: the turn that runs. */
            turn_id?: components["schemas"]["TurnId"];
            /** @description What kind of error: always `about:blank`. */
            type: string;
        };
        /**
         * @description How a Worker behaves: its logic and its settings. A Worker keeps the snapshot it was created
         *     with.
         */
        Profile: {
            /**
             * @description WASI commands that its scripts find by these names, besides those that the operator gives to all.
             *     They see what the scripts see, and no more.
             */
            commands?: {
                [key: string]: components["schemas"]["ComponentRef"];
            };
            /** @description The component it runs. */
            component: components["schemas"]["ComponentRef"];
            /** @description Settings the guest reads through `session.config`. */
            config?: {
                [key: string]: components["schemas"]["ConfigValue"];
            };
            /** @description One sentence for a person who chooses. */
            description?: string;
            /** @description The name it is asked for by. */
            name: components["schemas"]["ProfileName"];
            /**
             * @description Capabilities the component imports and can do without: where one is not granted, calls
             *     answer `not-granted`.
             */
            optional?: components["schemas"]["Capability"][];
            /**
             * @description Whether a turn that was interrupted goes on in a new turn by itself, at most three times in a
             *     row.
             */
            resume?: boolean;
        };
        /** @description The name of a profile: how a Worker behaves. */
        ProfileName: string;
        /** @description What a turn took. A value that is not known is absent. */
        Receipt: components["schemas"]["TokenUsage"] & {
            /**
             * Format: uint64
             * @description Time spent running the guest, in microseconds.
             */
            cpu_us: number;
            /**
             * Format: uint64
             * @description Bytes written to files.
             */
            file_bytes?: number;
            /**
             * Format: uint64
             * @description Calls of the guest into `yoi:worker` interfaces.
             */
            host_calls?: number;
            /**
             * Format: uint64
             * @description Model calls that reached a provider.
             */
            model_calls?: number;
            /**
             * Format: uint64
             * @description The most linear memory the guest held at once, in bytes, summed over its memories.
             */
            peak_memory_bytes?: number;
            /**
             * Format: uint64
             * @description From start to end, in microseconds.
             */
            wall_us: number;
        };
        /** @description A remote Runtime, as a request describes it. */
        RemoteDefinition: {
            /** @description Certificates, as PEM, that are trusted besides those of the system: for one that made its own. */
            certificates?: string | null;
            /** @description Where it is, such as `https://host:38800`. */
            endpoint: string;
            /** @description What it is called here. */
            runtime_id: components["schemas"]["RuntimeId"];
            /** @description Where its token is. */
            token: components["schemas"]["TokenPlace"];
        };
        /** @description How a remote Runtime is reached. */
        ReplaceBody: {
            /** @description Certificates, as PEM, that are trusted besides those of the system: for one that made its own. */
            certificates?: string | null;
            /** @description Where it is, such as `https://host:38800`. */
            endpoint: string;
            /** @description Where its token is. */
            token: components["schemas"]["TokenPlace"];
        };
        /**
         * @description What a Worker's log may hold beyond its transcript. Where one of the bounds is exceeded, the
         *     oldest events are removed, and a `worker.trimmed` says so.
         *
         *     Events that carry an item of the transcript are never removed, and count towards no bound: what a
         *     guest's `history` may return stays. Absent means no bound.
         */
        Retention: {
            /**
             * Format: uint64
             * @description The oldest an event may be, in seconds.
             */
            max_age_s?: number | null;
            /**
             * Format: uint64
             * @description The most bytes of a Worker's events.
             */
            max_bytes?: number | null;
            /**
             * Format: uint64
             * @description The most events of a Worker.
             */
            max_events?: number | null;
        };
        /** @description What to take away of a Worker's grants. */
        RevokeBody: {
            /** @description All of it. */
            grants: components["schemas"]["Grant"][];
        };
        /** @description The name an operator gave to a directory; grants speak of it, and never of a host path. */
        RootName: string;
        /** @description A directory below a root, such as `services/api`; `.` is the root itself. At most 4,095 bytes, and 255 in each name. */
        RootPath: string;
        /** @description A root, as far as a caller may know it. */
        RootStatus: {
            /** @description The most that can be granted of it. */
            access: components["schemas"]["Access"];
            /** @description Whether it could be had when it was last asked for. */
            available: boolean;
            /** @description Its name in grants. */
            name: components["schemas"]["RootName"];
            /** @description Why not, where it could not. */
            reason?: string | null;
        };
        /** @description A Runtime was added or removed, is reached again or not any more. */
        RuntimeChanged: {
            runtime_id: components["schemas"]["RuntimeId"];
            status?: null | components["schemas"]["RuntimeStatus"];
        };
        /** @description The name an operator gave to a Runtime; unique among the Runtimes of one Backend. */
        RuntimeId: string;
        /** @description The Runtimes of this Backend. */
        RuntimeList: {
            /** @description In the order of their ids. */
            runtimes: components["schemas"]["RuntimeListing"][];
        };
        /**
         * @description A Runtime as the Backend lists it.
         *
         *     In JSON it is one flat object. What the Runtime alone can tell is absent while it does not
         *     answer; the other fields are always there.
         */
        RuntimeListing: {
            /** @description What it can grant, each available or with the reason why not. */
            capabilities?: components["schemas"]["CapabilityStatus"][];
            config_digest?: null | components["schemas"]["ConfigDigest"];
            /** @description A name for eyes. */
            display_name?: string;
            /** @description The end of its feed now. */
            feed_cursor?: components["schemas"]["FeedCursor"];
            /** @description The bounds it enforces. */
            limits?: components["schemas"]["Limits"];
            /** @description The models a grant can name, and what stands behind each, for eyes. */
            models?: components["schemas"]["ModelStatus"][];
            overview?: null | components["schemas"]["Overview"];
            /** @description The profiles Workers can be made from. */
            profiles?: components["schemas"]["ProfileName"][];
            /** @description How long it keeps events. */
            retention?: components["schemas"]["Retention"];
            /** @description The directories a grant can speak of. */
            roots?: components["schemas"]["RootStatus"][];
            /** @description The version of the `worker-runtime` crate. */
            version?: string;
        } & {
            /** @description What an operator should look at: such as why it does not answer. */
            diagnostics: components["schemas"]["Diagnostic"][];
            /** @description Who said that it is to be there. */
            managed_by: components["schemas"]["ManagedBy"];
            /** @description Its id. */
            runtime_id: components["schemas"]["RuntimeId"];
            /** @description Where it is. */
            source_kind: components["schemas"]["SourceKind"];
            /** @description Whether it takes work. */
            status: components["schemas"]["RuntimeStatus"];
        };
        /**
         * @description Whether a Runtime takes work.
         * @enum {string}
         */
        RuntimeStatus: "ready" | "unavailable" | "draining" | "unknown";
        /**
         * Format: uint64
         * @description The position of an event in its Worker's log: the first is 1, and there are no gaps.
         */
        Seq: number;
        /** @description How scripts may run. They see the directories that are granted, and nothing else. */
        ShellGrant: {
            /**
             * Format: uint64
             * @description The longest that one script may take, in milliseconds. Default: 2 minutes.
             * @default 120000
             */
            timeout_ms: number;
        };
        /** @description The password. */
        SignIn: {
            /** Format: password */
            password: string;
        };
        /** @description How a browser may sign in. */
        SignInState: {
            /** @description Whether there is a password to sign in with. */
            password: boolean;
            /** @description Whether the browser that asks is signed in. */
            signed_in: boolean;
        };
        /**
         * @description What kind of source a Runtime has, for clients.
         * @enum {string}
         */
        SourceKind: "embedded" | "remote" | "unknown";
        /**
         * @description Who or what ended a turn that was cancelled.
         * @enum {string}
         */
        StopReason: "cancel" | "stop" | "grant_revoked" | "unknown";
        /** @description Where a token is. The token itself crosses no API. */
        TokenPlace: {
            /** @description In this variable of the Backend's environment; its name begins with `YOI_TOKEN_`. */
            env: string;
        } | {
            /** @description In the file of this name in `tokens/` of the Backend's data directory; for its owner only. */
            file: string;
        };
        /** @description The tokens of model calls, as the provider counted them. */
        TokenUsage: {
            /**
             * Format: uint64
             * @description Tokens read from the provider's cache.
             */
            cached_input?: number | null;
            /**
             * Format: uint64
             * @description Tokens read, cached ones not included.
             */
            input?: number | null;
            /**
             * Format: uint64
             * @description Tokens written, reasoning included.
             */
            output?: number | null;
            /**
             * Format: uint64
             * @description Tokens of `output` that were reasoning.
             */
            reasoning?: number | null;
        };
        /**
         * @description How a tool call ended.
         * @enum {string}
         */
        ToolOutcome: "ok" | "error" | "interrupted";
        /** @description A bounded piece of a transcript, oldest first. */
        TranscriptPage: {
            /** @description The Worker's log up to which the page is true; subscribe from here. */
            cursor: components["schemas"]["Cursor"];
            /** @description Which of them are not shown whole: each can be fetched by its id. */
            cut?: components["schemas"]["CutItem"][];
            first_item?: null | components["schemas"]["ItemId"];
            /** @description The items. */
            items: components["schemas"]["Item"][];
            last_item?: null | components["schemas"]["ItemId"];
            /** @description Whether newer items exist. */
            more_after: boolean;
            /** @description Whether older items exist. */
            more_before: boolean;
        };
        /**
         * Format: uint64
         * @description The ordinal of a turn within its Worker: the first is 1.
         */
        TurnId: number;
        /** @description The end of a turn that the request was held for. */
        TurnResult: {
            /** @description How it ended. */
            outcome: components["schemas"]["Outcome"];
            /** @description The place of its input in the log. */
            seq: components["schemas"]["Seq"];
            /** @description The turn. */
            turn_id: components["schemas"]["TurnId"];
        };
        /** @description What one turn took. */
        TurnUsage: {
            /**
             * Format: date-time
             * @description When it ended.
             */
            ended_at: string;
            /** @description How it ended. */
            outcome: components["schemas"]["Outcome"];
            /** @description What it took. */
            receipt: components["schemas"]["Receipt"];
            /** @description The turn. */
            turn_id: components["schemas"]["TurnId"];
        };
        /** @description A turn, and its outcome once it has ended. */
        TurnView: {
            outcome?: null | components["schemas"]["Outcome"];
            /** @description The turn. */
            turn_id: components["schemas"]["TurnId"];
        };
        /** @description What a Worker is to go by. */
        UpgradeBody: {
            /** @description The component. */
            component: components["schemas"]["ComponentRef"];
        };
        /** @description What became of an upgrade: the Worker goes by the new component from its next turn on. */
        Upgraded: {
            /** @description What it went by. */
            from: components["schemas"]["ComponentDigest"];
            /** @description What the new component imports and the old one did not, beyond what every Worker has. */
            gained: string[];
            /** @description What the old component imported and the new one does not. */
            lost: string[];
            /** @description What it goes by. */
            to: components["schemas"]["ComponentDigest"];
        };
        /** @description The running total of a Worker or a Runtime. */
        Usage: components["schemas"]["TokenUsage"] & {
            /**
             * Format: uint64
             * @description CPU time of those turns in microseconds.
             */
            cpu_us: number;
            /**
             * Format: uint64
             * @description Model calls that reached a provider.
             */
            model_calls: number;
            /**
             * Format: uint64
             * @description Turns that ended.
             */
            turns: number;
            /**
             * Format: uint64
             * @description Wall time of those turns in microseconds.
             */
            wall_us: number;
        };
        /** @description A Worker has a new event in its log. */
        WorkerChanged: {
            runtime_id: components["schemas"]["RuntimeId"];
            /** @description The event's place. */
            seq: components["schemas"]["Seq"];
            /** @description What kind of event it is. */
            type: string;
            worker_id: components["schemas"]["WorkerId"];
        };
        /**
         * Format: uuid
         * @description The identity of a Worker within its Runtime: a UUIDv7, so that ids sort by creation.
         */
        WorkerId: string;
        /** @description A Worker, and what it may do in plain words. */
        WorkerInWords: components["schemas"]["WorkerView"] & {
            /** @description What it may do, a line for each grant. */
            authority: string[];
        };
        /** @description What a Worker is doing. Clients treat values they do not know as busy. */
        WorkerStatus: {
            /** @enum {string} */
            status: "idle";
        } | {
            /** @enum {string} */
            status: "running";
            /** @description The turn. */
            turn: components["schemas"]["TurnId"];
        } | {
            /** @enum {string} */
            status: "stopped";
        } | {
            /** @enum {string} */
            status: "unavailable";
        } | {
            /** @enum {string} */
            status: "unknown";
        };
        /** @description What a Worker's turns took. */
        WorkerUsage: {
            /** @description Whether there are turns before the first of these; pass its id as `before`. */
            more_before: boolean;
            /** @description All turns together. */
            total: components["schemas"]["Usage"];
            /** @description Turns that ended, oldest first. */
            turns: components["schemas"]["TurnUsage"][];
        };
        /** @description A Worker as others see it. */
        WorkerView: components["schemas"]["WorkerStatus"] & {
            /** @description The component it runs. */
            component: components["schemas"]["ComponentDigest"];
            /**
             * Format: date-time
             * @description When it was created.
             */
            created_at: string;
            /** @description What an operator should look at. */
            diagnostics: components["schemas"]["Diagnostic"][];
            /** @description A name for eyes only. */
            display_name?: string | null;
            /** @description What it may do. */
            grants: components["schemas"]["Grants"];
            /** @description What kind of thing runs its logic. */
            implementation: components["schemas"]["Implementation"];
            /** @description What a Worker was filed under by its creator: keys of at most 63 bytes, values of at most 256. */
            labels: {
                [key: string]: string;
            };
            /** @description The last event of its log. */
            last_seq: components["schemas"]["Seq"];
            /** @description The profile it was made from. */
            profile: components["schemas"]["ProfileName"];
            /** @description What was taken away of its grants. */
            revoked?: components["schemas"]["Grant"][];
            /** @description The Runtime it lives in. */
            runtime_id: components["schemas"]["RuntimeId"];
            /** @description What its turns took. */
            usage: components["schemas"]["Usage"];
            /** @description Its id there. */
            worker_id: components["schemas"]["WorkerId"];
        };
        /** @description Some Workers. */
        WorkersInWords: {
            /** @description What is missing from the page and why: such as a Runtime that did not answer. */
            diagnostics?: components["schemas"]["Diagnostic"][];
            next?: null | components["schemas"]["WorkerId"];
            /** @description The Workers, oldest first. */
            workers: components["schemas"]["WorkerInWords"][];
        };
        /** @description The workspaces in which Workers can be created. */
        WorkspaceList: {
            /** @description In the order of their names. */
            workspaces: components["schemas"]["WorkspaceView"][];
        };
        /** @description The name of a workspace: where people and Workers work on the same thing. */
        WorkspaceName: string;
        /** @description A workspace. */
        WorkspaceView: {
            /** @description Its name. */
            workspace: components["schemas"]["WorkspaceName"];
        };
    };
    responses: {
        /** @description A remote Runtime does not take the Backend's token, or is not understood: `remote_auth_failed`, `remote_incompatible`. */
        BadGateway: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The request makes no sense: `invalid_input`, `invalid_cursor`. */
        BadRequest: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Not as things are: `busy`, `worker_stopped`, `worker_not_stopped`, `component_in_use`, `preopen_unavailable`, `scope_conflict`, `idempotency_conflict`, `runtime_exists`, `runtime_in_use`. */
        Conflict: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The credentials do not reach this far, or nobody's do: `forbidden`, `grant_exceeds_ceiling`, `exposes_git_dir`. Also where the `Host` is another server's, or a page in a browser asks. */
        Forbidden: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description A remote Runtime did not answer in time: `remote_timeout`. */
        GatewayTimeout: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The events after the cursor were removed: `cursor_gap`. */
        Gone: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The host failed: `internal`, with an id that finds the cause in the operator's log, or `store_damaged`. */
        InternalServerError: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description What is named is not there, or not for these credentials: `unknown_worker`, `unknown_item`, `unknown_profile`, `unknown_component`, `unknown_runtime`, `not_found`. */
        NotFound: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Nothing here does that: `unsupported`. */
        NotImplemented: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Larger than a limit, which it names: `payload_too_large`. */
        PayloadTooLarge: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Not now: `capacity`, also where the caller has its share of what there is, `runtime_unavailable`, `worker_unavailable`. */
        ServiceUnavailable: {
            headers: {
                /** @description With `capacity`: when it is worth a try again. In seconds. */
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Too many wrong tokens or passwords came from this address: `too_many_requests`. Right tokens count always. */
        TooManyRequests: {
            headers: {
                /** @description When it is worth a try again. In seconds. */
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description No credentials, or such that count for nothing: `unauthorized`. */
        Unauthorized: {
            headers: {
                /** @description How to say who asks. */
                "WWW-Authenticate"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The component cannot be run, or not with these grants: `missing_grant`, `invalid_component`. */
        UnprocessableEntity: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body does not say that it is JSON: `unsupported_media_type`. */
        UnsupportedMediaType: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
    };
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    test_connection: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RemoteDefinition"];
            };
        };
        responses: {
            /** @description It answers, and takes the token. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConnectionTest"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    events: {
        parameters: {
            query?: {
                /** @description A Worker whose events to send: `runtime_id/worker_id/cursor`, where the cursor may be empty for the start. At most 32. */
                follow?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What comes. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    sign_in_state: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Whether and how. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SignInState"];
                };
            };
            403: components["responses"]["Forbidden"];
        };
    };
    sign_in: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SignIn"];
            };
        };
        responses: {
            /** @description The browser is signed in. */
            204: {
                headers: {
                    /** @description Its session. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    create_login_link: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The link. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LoginLink"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    sign_out: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The browser is signed out. */
            204: {
                headers: {
                    /** @description That there is no session any more. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    openapi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OpenAPI 3.1. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": unknown;
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    runtimes: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All of them. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RuntimeList"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    add_runtime: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RemoteDefinition"];
            };
        };
        responses: {
            /** @description It is there. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RuntimeListing"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    runtime: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Runtime. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RuntimeListing"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    replace_runtime: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ReplaceBody"];
            };
        };
        responses: {
            /** @description It is reached so. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RuntimeListing"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    remove_runtime: {
        parameters: {
            query?: {
                /** @description Also where it has Workers that are not stopped, or does not say whether it has. */
                force?: boolean;
            };
            header?: never;
            path: {
                /** @description The Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is not there any more. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    keep_component: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/octet-stream": unknown;
                "application/wasm": unknown;
            };
        };
        responses: {
            /** @description It is kept. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeptComponent"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["PayloadTooLarge"];
            422: components["responses"]["UnprocessableEntity"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    remove_component: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description What the component is named by. */
                digest: components["schemas"]["ComponentDigest"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    runtime_events: {
        parameters: {
            query?: {
                /** @description What follows this place; absent for the start. */
                after?: components["schemas"]["FeedCursor"];
                /** @description At most this many on a page. */
                limit?: number;
            };
            header?: {
                /** @description Of a stream: the last `id` that was seen, which counts instead of `after`. */
                "Last-Event-ID"?: string;
            };
            path: {
                /** @description The Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The events after the place, or those and what follows. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FeedPage"];
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            410: components["responses"]["Gone"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    preview_launch: {
        parameters: {
            query: {
                /** @description The profile. */
                profile: components["schemas"]["ProfileName"];
                /** @description The workspace; absent for none. */
                workspace?: components["schemas"]["WorkspaceName"];
            };
            header?: never;
            path: {
                /** @description The Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What it would be granted. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LaunchPreview"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    test_runtime: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It answers, and takes the token. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConnectionTest"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    runtime_workers: {
        parameters: {
            query?: {
                /** @description Only Workers in this state. */
                status?: "idle" | "running" | "stopped" | "unavailable";
                /** @description Only Workers with this label; may be given for several. */
                label?: string[];
                /** @description Only Workers created after this one. */
                after?: components["schemas"]["WorkerId"];
                /** @description At most this many; 100 by default, and never more than 1,000. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description The Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of them. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WorkersInWords"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    create_worker: {
        parameters: {
            query?: never;
            header?: {
                /** @description The caller's name for this request: again with the same key, it is carried out once. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateBody"];
            };
        };
        responses: {
            /** @description It is there. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WorkerInWords"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["UnprocessableEntity"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    worker: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Worker. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WorkerInWords"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    delete_worker: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    cancel_turn: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["CancelBody"];
            };
        };
        responses: {
            /** @description Nothing of it runs on. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    worker_events: {
        parameters: {
            query?: {
                /** @description What follows this place; absent for the start. */
                after?: components["schemas"]["Cursor"];
                /** @description At most this many on a page. */
                limit?: number;
            };
            header?: {
                /** @description Of a stream: the last `id` that was seen, which counts instead of `after`. */
                "Last-Event-ID"?: string;
            };
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The events after the place, or those and what follows. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OfWorker_EventPage"];
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            410: components["responses"]["Gone"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    give_input: {
        parameters: {
            query?: {
                /** @description At most this long, in milliseconds; more than a minute is taken as a minute. */
                wait_ms?: number;
            };
            header?: {
                /** @description The caller's name for this request: again with the same key, it is carried out once. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["InputBody"];
            };
        };
        responses: {
            /** @description The turn ended within `wait_ms`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OfWorker_TurnResult"];
                };
            };
            /** @description The input is in the log. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OfWorker_InputAccepted"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    item: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
                /** @description The item. */
                item_id: components["schemas"]["ItemId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The item. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OfWorker_Item"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    logs: {
        parameters: {
            query?: {
                /** @description Those of one turn; absent, all that are kept. */
                turn?: components["schemas"]["TurnId"];
            };
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The lines that are kept. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OfWorker_LogPage"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    revoke_grants: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RevokeBody"];
            };
        };
        responses: {
            /** @description Nothing has them any more. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    start_worker: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It takes input. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    stop_worker: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is stopped. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    transcript: {
        parameters: {
            query?: {
                /** @description Only items before this one, the nearest of them. */
                before?: components["schemas"]["ItemId"];
                /** @description Only items after this one, the nearest of them. */
                after?: components["schemas"]["ItemId"];
                /** @description At most this many; absent means 100, and more than 1,000 is taken as 1,000. */
                limit?: number;
                /**
                 * @description At most about this many bytes of content (at least one item is shown); absent means 1 MiB,
                 *     and more than 8 MiB is taken as 8 MiB.
                 */
                max_bytes?: number;
                /**
                 * @description An item with more bytes of content than this is cut, and the page says so; absent means
                 *     64 KiB.
                 */
                max_item_bytes?: number;
            };
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The items. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OfWorker_TranscriptPage"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    turn: {
        parameters: {
            query?: {
                /** @description At most this long, in milliseconds; more than a minute is taken as a minute. */
                wait_ms?: number;
            };
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
                /** @description The turn. */
                turn_id: components["schemas"]["TurnId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The turn. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OfWorker_TurnView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    upgrade_worker: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["UpgradeBody"];
            };
        };
        responses: {
            /** @description It goes by the other one. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Upgraded"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["UnprocessableEntity"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    worker_usage: {
        parameters: {
            query?: {
                /** @description Only turns before this one; absent for the newest of all. */
                before?: components["schemas"]["TurnId"];
                /** @description At most this many; 100 by default, and never more than 1,000. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description The Worker's Runtime. */
                runtime_id: components["schemas"]["RuntimeId"];
                /** @description The Worker. */
                worker_id: components["schemas"]["WorkerId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All turns together, and the newest one by one. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OfWorker_WorkerUsage"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    workers: {
        parameters: {
            query?: {
                /** @description Only Workers in this state. */
                status?: "idle" | "running" | "stopped" | "unavailable";
                /** @description Only Workers with this label; may be given for several. */
                label?: string[];
                /** @description Only Workers created after this one. */
                after?: components["schemas"]["WorkerId"];
                /** @description At most this many; 100 by default, and never more than 1,000. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of them. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WorkersInWords"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["InternalServerError"];
            501: components["responses"]["NotImplemented"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["ServiceUnavailable"];
            504: components["responses"]["GatewayTimeout"];
        };
    };
    workspaces: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All of them. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WorkspaceList"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
}
