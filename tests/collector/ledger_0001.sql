BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE aliases (
	protocol VARCHAR(64) NOT NULL, 
	namespace VARCHAR(64) NOT NULL, 
	identifier VARCHAR(64) NOT NULL, 
	asset VARCHAR(64) NOT NULL, 
	PRIMARY KEY (protocol, namespace, identifier), 
	FOREIGN KEY(asset) REFERENCES assets (id)
);
INSERT INTO "aliases" VALUES('puritan-bennett','840','3510072467','V-1');
INSERT INTO "aliases" VALUES('puritan-bennett','980','2','V-2');
CREATE TABLE assets (
	id VARCHAR(64) NOT NULL, 
	ward VARCHAR(64) NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "assets" VALUES('V-1','ICU','{"id":"V-1","label":"Máy thở 1","device_type":"ventilator","manufacturer":"","model":"840","ward":"ICU","aliases":[{"protocol":"puritan-bennett","namespace":"840","identifier":"3510072467","strength":"strong"}],"baselines":[{"meter":"ventilation_h","provenance":"derived","reading":4000.0,"last_done":3900.0}]}');
INSERT INTO "assets" VALUES('V-2','ER','{"id":"V-2","label":"","device_type":"ventilator","manufacturer":"Puritan Bennett","model":"980","ward":"ER","aliases":[{"protocol":"puritan-bennett","namespace":"980","identifier":"2","strength":"strong"}],"baselines":[]}');
INSERT INTO "assets" VALUES('V-3','ER','{"id":"V-3","label":"","device_type":"","manufacturer":"","model":"","ward":"ER","aliases":[],"baselines":[]}');
CREATE TABLE devices (
	protocol VARCHAR(64) NOT NULL, 
	namespace VARCHAR(64) NOT NULL, 
	identifier VARCHAR(64) NOT NULL, 
	asset VARCHAR(64), 
	document TEXT NOT NULL, 
	PRIMARY KEY (protocol, namespace, identifier)
);
INSERT INTO "devices" VALUES('puritan-bennett','840','3510072467','V-1','{"alias":{"protocol":"puritan-bennett","namespace":"840","identifier":"3510072467","strength":"strong"},"publisher":"host","name":"pb-1","first_ms":1767229200000,"heard_ms":1767981600000,"link":"online","state":"in_use","model":"","manufacturer":"","last":[1767981600000,"boot-1",756000000,"in_use",3600000],"derived":{"ventilation_h":{"since_ms":1767803400000,"offset_ms":14439600000,"counted_ms":750600000,"known_ms":178200000,"unknown_ms":0,"adjustments":[{"at_ms":1767229200000,"was_h":0.0,"now_h":4000.0,"reason":"reading in the registry"},{"at_ms":1767803400000,"was_h":4159.0,"now_h":4170.0,"reason":"reading by An at T-1"}]}},"reported":{},"episodes":{},"physiological":0,"late":0}');
INSERT INTO "devices" VALUES('puritan-bennett','980','2','V-2','{"alias":{"protocol":"puritan-bennett","namespace":"980","identifier":"2","strength":"strong"},"publisher":"host","name":"pb-2","first_ms":1767229200000,"heard_ms":1767981660000,"link":"online","state":"in_use","model":"980","manufacturer":"Puritan Bennett","last":[1767981660000,"boot-1",756060000,"in_use",3600000],"derived":{"ventilation_h":{"since_ms":1767229200000,"offset_ms":0,"counted_ms":752460000,"known_ms":752460000,"unknown_ms":0,"adjustments":[]}},"reported":{"power_on_h/reported":{"value":9000.0,"event_ms":1767981660000,"since_ms":1767981660000,"anomalies":0,"fell_to":null}},"episodes":{"alarm:122":{"kind":"alarm","code":"122","text":"low O2 supply","alarm_kind":"technical","priority":"low","effect":null,"mapped":true,"key":"122/x/1","phase":"start","life":"active","began_ms":1767981660000,"last_ms":1767981660000,"past_keys":[],"counted_by":["oxygen"]}},"physiological":0,"late":0}');
INSERT INTO "devices" VALUES('puritan-bennett','980','Máy 9',NULL,'{"alias":{"protocol":"puritan-bennett","namespace":"980","identifier":"Máy 9","strength":"strong"},"publisher":"host","name":"pb-3","first_ms":1767229200000,"heard_ms":1767801600000,"link":"online","state":"in_use","model":"","manufacturer":"","last":[1767801600000,"boot-1",576000000,"in_use",3600000],"derived":{"ventilation_h":{"since_ms":1767229200000,"offset_ms":0,"counted_ms":572400000,"known_ms":572400000,"unknown_ms":0,"adjustments":[]}},"reported":{},"episodes":{},"physiological":0,"late":0}');
CREATE TABLE inputs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at_ms BIGINT NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	document TEXT NOT NULL, 
	applied_epoch VARCHAR(64), 
	applied_at_position BIGINT, 
	refused TEXT
);
INSERT INTO "inputs" VALUES(1,1767225600000,'rule_set','{"kind":"rule_set","at_ms":1767225600000,"rules":[{"version":"ddd290313223","rule":{"id":"oxygen","title":"Oxygen supply low","scope":{"device_type":null,"manufacturer":null,"model":[],"ward":null,"asset":null},"any":[{"meter":null,"alarm":{"codes":["122"],"kind":null,"priority":null},"fault":null},{"meter":null,"alarm":null,"fault":{"codes":["A5"],"effect":null}}],"all":[],"kind":"repair","priority":"P2","action":"Look at the hose","checklist":[],"parts":[],"source":{"document":"made up","status":"P","note":""},"confirmed_by":{"name":"A. Tester","date":"2026-01-01","manual":""},"stories":[{"name":"opens","shows":"opens","period":3600000,"given":null,"timeline":[{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":{"code":"122","phase":"start","kind":"technical","priority":"medium","condition":null,"key":""},"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":1,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]},{"name":"quiet","shows":"quiet","period":3600000,"given":null,"timeline":[{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":{"code":"123","phase":"start","kind":"technical","priority":"medium","condition":null,"key":""},"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":0,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]},{"name":"resolves","shows":"resolves","period":3600000,"given":null,"timeline":[{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":{"code":"122","phase":"start","kind":"technical","priority":"medium","condition":null,"key":""},"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":{"reading":null,"kind":null,"refused":false},"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":0,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]}]}},{"version":"648ac4ee4e24","rule":{"id":"service","title":"Service every 250 hours","scope":{"device_type":"ventilator","manufacturer":null,"model":[],"ward":null,"asset":null},"any":[{"meter":{"name":"ventilation_h","provenance":"derived","every_h":250.0,"lead_h":10.0,"unknown":"ask","least_coverage":0.8},"alarm":null,"fault":null}],"all":[],"kind":"pm","priority":"P3","action":"Service it","checklist":[],"parts":[],"source":{"document":"made up","status":"P","note":""},"confirmed_by":{"name":"A. Tester","date":"2026-01-01","manual":""},"stories":[{"name":"opens","shows":"opens","period":3600000,"given":null,"timeline":[{"use":864000000,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":1,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]},{"name":"quiet","shows":"quiet","period":3600000,"given":null,"timeline":[{"use":null,"standby":null,"idle":864000000,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":0,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]},{"name":"resolves","shows":"resolves","period":3600000,"given":null,"timeline":[{"use":864000000,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":{"reading":240.0,"kind":null,"refused":false},"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":0,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]}]}}]}','epoch',1,'');
INSERT INTO "inputs" VALUES(2,1767225600000,'registry','{"kind":"registry","at_ms":1767225600000,"assets":[{"id":"V-1","label":"Máy thở 1","device_type":"ventilator","manufacturer":"","model":"840","ward":"ICU","aliases":[{"protocol":"puritan-bennett","namespace":"840","identifier":"3510072467","strength":"strong"}],"baselines":[{"meter":"ventilation_h","provenance":"derived","reading":4000.0,"last_done":3900.0}]},{"id":"V-2","label":"","device_type":"ventilator","manufacturer":"Puritan Bennett","model":"980","ward":"ER","aliases":[{"protocol":"puritan-bennett","namespace":"980","identifier":"2","strength":"strong"}],"baselines":[]},{"id":"V-3","label":"","device_type":"","manufacturer":"","model":"","ward":"ER","aliases":[],"baselines":[]}]}','epoch',2,'');
INSERT INTO "inputs" VALUES(3,1767803400000,'close_ticket','{"kind":"close_ticket","at_ms":1767803400000,"ticket":"T-1","by":"An","reading":4170.0,"note":""}','epoch',3,'');
CREATE TABLE progress (
	consumer VARCHAR(16) NOT NULL, 
	epoch VARCHAR(64) NOT NULL, 
	position BIGINT NOT NULL, 
	input INTEGER NOT NULL, 
	engineering TEXT NOT NULL, 
	PRIMARY KEY (consumer)
);
INSERT INTO "progress" VALUES('rules','epoch',100,3,'{"now_ms":1767981600000,"settled_ms":0,"swept_hour":491106,"next_ticket":3,"counters":{"concluded:status":1,"concluded:usage":581,"concluded:alarm":1,"concluded:identity":1}}');
CREATE TABLE publishers (
	name VARCHAR(64) NOT NULL, 
	link VARCHAR(16) NOT NULL, 
	connection VARCHAR(64) NOT NULL, 
	at_ms BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "publishers" VALUES('host','online','c',1767225600000);
CREATE TABLE rule_states (
	asset VARCHAR(64) NOT NULL, 
	rule VARCHAR(64) NOT NULL, 
	standing VARCHAR(16) NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (asset, rule)
);
INSERT INTO "rule_states" VALUES('V-1','service','ok','{"asset":"V-1","rule":"service","meter":{"name":"ventilation_h","provenance":"derived"},"standing":"ok","why":"","cycle":2,"last_done":4170.0,"last_done_known":true}');
INSERT INTO "rule_states" VALUES('V-2','service','ok','{"asset":"V-2","rule":"service","meter":{"name":"ventilation_h","provenance":"derived"},"standing":"ok","why":"","cycle":1,"last_done":0.0,"last_done_known":false}');
CREATE TABLE rules (
	id VARCHAR(64) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "rules" VALUES('oxygen','ddd290313223','{"version":"ddd290313223","rule":{"id":"oxygen","title":"Oxygen supply low","scope":{"device_type":null,"manufacturer":null,"model":[],"ward":null,"asset":null},"any":[{"meter":null,"alarm":{"codes":["122"],"kind":null,"priority":null},"fault":null},{"meter":null,"alarm":null,"fault":{"codes":["A5"],"effect":null}}],"all":[],"kind":"repair","priority":"P2","action":"Look at the hose","checklist":[],"parts":[],"source":{"document":"made up","status":"P","note":""},"confirmed_by":{"name":"A. Tester","date":"2026-01-01","manual":""},"stories":[{"name":"opens","shows":"opens","period":3600000,"given":null,"timeline":[{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":{"code":"122","phase":"start","kind":"technical","priority":"medium","condition":null,"key":""},"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":1,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]},{"name":"quiet","shows":"quiet","period":3600000,"given":null,"timeline":[{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":{"code":"123","phase":"start","kind":"technical","priority":"medium","condition":null,"key":""},"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":0,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]},{"name":"resolves","shows":"resolves","period":3600000,"given":null,"timeline":[{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":{"code":"122","phase":"start","kind":"technical","priority":"medium","condition":null,"key":""},"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":{"reading":null,"kind":null,"refused":false},"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":0,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]}]}}');
INSERT INTO "rules" VALUES('service','648ac4ee4e24','{"version":"648ac4ee4e24","rule":{"id":"service","title":"Service every 250 hours","scope":{"device_type":"ventilator","manufacturer":null,"model":[],"ward":null,"asset":null},"any":[{"meter":{"name":"ventilation_h","provenance":"derived","every_h":250.0,"lead_h":10.0,"unknown":"ask","least_coverage":0.8},"alarm":null,"fault":null}],"all":[],"kind":"pm","priority":"P3","action":"Service it","checklist":[],"parts":[],"source":{"document":"made up","status":"P","note":""},"confirmed_by":{"name":"A. Tester","date":"2026-01-01","manual":""},"stories":[{"name":"opens","shows":"opens","period":3600000,"given":null,"timeline":[{"use":864000000,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":1,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]},{"name":"quiet","shows":"quiet","period":3600000,"given":null,"timeline":[{"use":null,"standby":null,"idle":864000000,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":0,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]},{"name":"resolves","shows":"resolves","period":3600000,"given":null,"timeline":[{"use":864000000,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":{"reading":240.0,"kind":null,"refused":false},"expect":null},{"use":null,"standby":null,"idle":null,"off":null,"test":null,"service":null,"silent":null,"report":null,"alarm":null,"fault":null,"acknowledge":null,"close":null,"expect":{"tickets":0,"kind":null,"priority":null,"state":null,"occurrences":null,"missed_cycles":null,"reopened":null,"cleared":null}}]}]}}');
CREATE TABLE ticket_events (
	ticket VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	at_ms BIGINT NOT NULL, 
	who VARCHAR(64) NOT NULL, 
	from_state VARCHAR(16), 
	to_state VARCHAR(16) NOT NULL, 
	note TEXT NOT NULL, 
	PRIMARY KEY (ticket, number), 
	FOREIGN KEY(ticket) REFERENCES tickets (id)
);
INSERT INTO "ticket_events" VALUES('T-1',1,1767733200000,'hourmeter',NULL,'open','rule service');
INSERT INTO "ticket_events" VALUES('T-1',2,1767803400000,'An','open','closed','');
INSERT INTO "ticket_events" VALUES('T-2',1,1767981660000,'hourmeter',NULL,'open','rule oxygen');
CREATE TABLE tickets (
	id VARCHAR(32) NOT NULL, 
	number BIGINT NOT NULL, 
	cause VARCHAR(256) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	priority VARCHAR(2) NOT NULL, 
	asset VARCHAR(64) NOT NULL, 
	rule VARCHAR(64) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	opened_ms BIGINT NOT NULL, 
	closed_ms BIGINT, 
	document TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (number)
);
INSERT INTO "tickets" VALUES('T-1',1,'pm:V-1:service:1','pm','P3','V-1','service','648ac4ee4e24','closed',1767733200000,1767803400000,'{"id":"T-1","number":1,"cause":"pm:V-1:service:1","kind":"pm","priority":"P3","asset":"V-1","rule":"service","version":"648ac4ee4e24","title":"Service every 250 hours","action":"Service it","checklist":[],"parts":[],"source":{"document":"made up","status":"P","note":""},"state":"closed","opened_ms":1767733200000,"opened_tick_ms":1767733200000,"last_seen_ms":1767733200000,"occurrences":1,"reopened":0,"missed_cycles":0,"cleared_ms":null,"closed_ms":1767803400000,"reading":4170.0,"meter":{"name":"ventilation_h","provenance":"derived"},"evidence":[{"about":"meter","meter":"ventilation_h","provenance":"derived","low_h":4140.0,"high_h":4140.0,"coverage":1.0,"since_ms":1767229200000,"at_ms":1767733200000,"last_done_h":3900.0,"last_done_known":true,"every_h":250.0,"lead_h":10.0,"due_h":4150.0,"cycle":1}],"events":2}');
INSERT INTO "tickets" VALUES('T-2',2,'fault:V-2:oxygen','repair','P2','V-2','oxygen','ddd290313223','open',1767981660000,NULL,'{"id":"T-2","number":2,"cause":"fault:V-2:oxygen","kind":"repair","priority":"P2","asset":"V-2","rule":"oxygen","version":"ddd290313223","title":"Oxygen supply low","action":"Look at the hose","checklist":[],"parts":[],"source":{"document":"made up","status":"P","note":""},"state":"open","opened_ms":1767981660000,"opened_tick_ms":1767981600000,"last_seen_ms":1767981660000,"occurrences":1,"reopened":0,"missed_cycles":0,"cleared_ms":null,"closed_ms":null,"reading":null,"meter":null,"evidence":[{"about":"episode","what":"alarm","code":"122","text":"low O2 supply","alarm_kind":"technical","priority":"low","effect":null,"mapped":true,"phase":"start","began_ms":1767981660000,"device":"host/pb-2"}],"events":1}');
CREATE INDEX ix_tickets_asset ON tickets (asset);
CREATE INDEX ix_tickets_closed_ms ON tickets (closed_ms);
CREATE UNIQUE INDEX one_open_ticket_a_cause ON tickets (cause) WHERE state NOT IN ('closed', 'cancelled');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('inputs',3);
COMMIT;
