"""What the codes of MEDIBUS devices mean: which table for which model, alarms, texts and measured values.

Rule 1: the table follows the number that a device tells: the same code means different things by model.
Rule 2: kinds and subsystems are this project's reading of the phrases, no word of the manual.
Rule 3: CP2-95 is a state, standby, whatever its priority; it is no alarm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from telemetry.messages import AlarmKind, OperatingState, Priority

MANUAL: Final = "Draeger 9028329, 11th edition 2005; kinds and subsystems are this project's"
PUBLIC_X: Final = "MEDIBUS.X codes as in public capture software; kinds and subsystems are this project's"
STANDBY: Final = "CP2-95"
DEVICE: Final = "device"
"""Subsystem of the conditions that are faults of the device itself."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a code means."""

    phrase: str
    kind: AlarmKind
    subsystem: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether the device itself is at fault."""
        return self.subsystem == DEVICE


CodeTable = Mapping[str, Row]
"""By page and code, as `CP1-9F`."""

_SUBSYSTEMS: Final = MappingProxyType(
    {
        code: subsystem
        for subsystem, pages in (
            ("power", (("CP1", "4B EF FD"), ("CP2", "59 5A 5C 5D 6D A1 FE"))),
            ("gas supply", (("CP1", "12 13 BD E6 E7 EC ED"), ("CP2", "31 32 33 34 35 36 37 CA CB"))),
            (DEVICE, (("CP1", "65 7C 9F A4 AD B7 C1 C2 C7 C8 C9 CA F2"), ("CP2", "94 96"))),
            (
                "sensors and consumables",
                (
                    ("CP1", "35 36 3D 42 43 64 A1 AF B0 BE D9"),
                    ("CP2", "6C 90 A8 C7 C8 C9 D3 D4 D9"),
                ),
            ),
            ("calibration", (("CP1", "3B 3E A2 FC"),)),
        )
        for page, codes in pages
        for code in (f"{page}-{digits}" for digits in codes.split())
    }
)
"""Technical conditions only; C5 is one of the Evita alone."""


def _rows(page: str, kind: AlarmKind, phrases: str) -> Iterator[tuple[str, Row]]:
    for entry in phrases.split("·"):
        digits, phrase = entry.split(maxsplit=1)
        code = f"{page}-{digits}"
        subsystem = _SUBSYSTEMS.get(code, "") if kind is AlarmKind.TECHNICAL else ""
        yield code, Row(" ".join(phrase.split()), kind, subsystem)


def _table(*rows: tuple[str, Row], base: CodeTable = MappingProxyType({})) -> CodeTable:
    return MappingProxyType(dict(sorted({**base, **dict(rows)}.items())))


_COMMON: Final = _table(
    *_rows("CP1", AlarmKind.TECHNICAL,
        "42 FLOW SENSOR? · A1 O2 ERR · A4 VOL ERR · AD PRESS ERR · B0 EXP-VALVE ? · B8 AW-TEMP INOP"
        " · C7 CYCLE FAILED",
    ),
    *_rows("CP1", AlarmKind.PHYSIOLOGICAL,
        "08 % O2 LOW · 10 PAW HIGH · 19 MIN VOL LOW · 33 TIDVOL LO · 37 % O2 HIGH · 3A ASB > 4 SEC"
        " · 90 RESP RATE HI · 98 APNEA · 9A PAW LOW · 9B MIN VOL HIGH · BA AW-TEMP HI · DA PEEP HIGH"
        " · E8 TIDVOL HI",
    ),
    *_rows("CP1", AlarmKind.ADVISORY, "AC MV ALARM OFF · E9 O2 ALARM OFF"),
)  # fmt: skip
_LATER: Final = _table(
    *_rows("CP1", AlarmKind.TECHNICAL,
        "13 LO O2 SUPPLY · 4B BATTERY ERR · CA FAN ERR · E7 HI O2 SUPPLY",
    ),
    *_rows("CP2", AlarmKind.TECHNICAL, "9C LEAKAGE"),
    *_rows("CP2", AlarmKind.ADVISORY,
        "66 APN ALRM OFF · 67 MV LOW OFF · 68 VT HIGH OFF · 99 INSPHOLD END",
    ),
    *_rows("CP2", AlarmKind.PHYSIOLOGICAL, "93 APNEAE VENT"),
    base=_COMMON,
)  # fmt: skip
"""What Savina and the Evita 4 family share."""
SAVINA: Final = _table(
    *_rows("CP1", AlarmKind.TECHNICAL, "9F SAVINA ERR · C9 COOLING ?"),
    *_rows("CP1", AlarmKind.PHYSIOLOGICAL, "98 APNEA SAVINA"),
    *_rows("CP2", AlarmKind.TECHNICAL,
        "5A INT BATT ON · 5B NO NEBUL. · 5C BATTERY LOW · 6C MICROFILTER? · 6D EXTERN DC ON"
        " · 6E AMB PRESS HI · 6F AMB PRESS LO · 94 CHECK SAVINA · 96 PEEP ERR",
    ),
    *_rows("CP2", AlarmKind.ADVISORY, "98 NEBULIZER ON"),
    base=_LATER,
)  # fmt: skip
EVITA_4: Final = _table(
    *_rows("CP1", AlarmKind.TECHNICAL,
        "12 AIR SUPPLY ? · 35 SPO2SEN DISC · 3E CO2 ZERO CAL · 64 CLEAN CO2 · 68 SPO2 ERR · 6A CO2 ERR"
        " · 9F EVITA ERR · BD LO O2 SUPPLY · C6 SYNCHRO INOP · C8 MIXER INOP · D9 CO2 SENSOR ?"
        " · E6 AIR PRESS HI · EA N-VOL ERR",
    ),
    *_rows("CP1", AlarmKind.ADVISORY, "57 CO2 ALRM OFF · 5B SPO2 ALRM OFF · C4 PRESSURE LTD"),
    *_rows("CP2", AlarmKind.TECHNICAL,
        "3B AMB PRESS ? · 3C ERR MULTIPCB · 5A BATTERY ON · 5C BATT. < 2MIN · 69 REM.PAD-ERR"
        " · 90 NEO FLOW ? · 91 LOSS OF DATA · 94 CHECK EVITA · 96 PEEP V ERR",
    ),
    *_rows("CP2", AlarmKind.PHYSIOLOGICAL, "6A TUBE OBSTRUC · 9D BACKUP VENT"),
    *_rows("CP2", AlarmKind.ADVISORY,
        "6B EXTERN FLOW · 97 SLAVE FREQ ? · 9E EXPHOLD END · 9F NEBULIZ OFF",
    ),
    base=_LATER,
)  # fmt: skip
"""Evita 4, Evita 2 dura, EvitaXL; of CP2-9A and -9B no phrase is known, so they are of unknown kind."""
EVITA: Final = _table(
    *_rows("CP1", AlarmKind.TECHNICAL,
        "12 AIR SUPPLY ? · 9F EVITA ERR · B7 COOLING INOP · BC SYSTEM OPEN · BD LO O2 SUPPLY"
        " · C2 MIXER INOP · C6 SYNCHRO INOP · C8 MIXER INOP",
    ),
    ("CP1-C5", Row("COOLING INOP", AlarmKind.TECHNICAL, DEVICE)),
    *_rows("CP1", AlarmKind.ADVISORY, "40 TACHYPN ALARM OFF · BB SIGH ON · C3 TIME LIMITED"),
    base=_COMMON,
)  # fmt: skip
MEDIBUS_X: Final = _table(
    *_rows("CP1", AlarmKind.TECHNICAL,
        """
        12 AIR SUPPLY · 13 O2 SUPPLY · 35 SPO2SEN DISC · 36 CO2 FIL. ERR · 3B CAL O2 · 3D CO2 LINE BLK · 3E
        CO2 ZERO CAL · 42 FLOW SENSOR · 43 O2 SENS ERR · 46 TEMP1 ERR · 47 TEMP2 ERR · 48 AIR TEMP ERR · 49
        BP CUFF ERR · 4A BP CUFF DISC · 4B BATTERY LOW · 4F ECG ELEC. LL · 50 ECG ELEC. LA · 51 ECG ELEC. RA
        · 60 NBP STANDBY · 64 CLEAN CO2 · 65 SPEAKER FAIL · 67 GAS MON ERR · 68 SPO2 ERR · 69 N2O ERR · 6A
        CO2 ERR · 6C NBP ERR · 6E AGT ERR · 78 RS232COM ERR · 7B HEMO POD ERR · 7C INT COM ERR · 7F ICP ERR
        · 80 LA ERR · 81 RV ERR · 82 LV ERR · 83 GP1 ERR · 84 GP2 ERR · 92 ECG ELECTROD · 9E WATER LOW · 9F
        VENT ERR · A0 COM VENT ERR · A1 O2 ERR · A2 VOL CAL · A4 VOL ERR · A6 CHECK WATER · A9 LEAK VALVE ·
        AB AIR HTR INOP · AD PRESS ERR · AF WATER TRAP · B0 EXP-VALVE · B1 CHECK HOOD · B4 MAT HTR INOP · B5
        SENS MOD ERR · B7 VENT TEMP HI · B8 AW-TEMP INOP · B9 AW-TEMP SENS · BC SYSTEM OPEN · BD LO O2
        SUPPLY · BE O2 ERR · C1 VOL ERR · C2 MIXER INOP · C7 CYCLE FAILED · C8 MIXER INOP · C9 INT.TMP.HIGH
        · CA FAN ERR · CD O2 UNAVAIL · CE N2O UNAVAIL · CF AGT UNAVAIL · D0 ECG ELEC. V · D1 GASMON · D5
        GASMON.INACC · D6 ART ERR · D7 CVP ERR · D8 AGENT INACC · D9 CO2 SENSOR · DD CO ERR · DE INJ. PROBE
        · DF CATHETER · E2 PA ERR · E4 N2O INACC · E5 O2 INACC · E6 AIR PRESS HI · E7 HI O2 SUPPLY · EB CO2
        INACC · EC GAS FAILURE · ED N2O SUPPLY · EF POWER FAIL · F2 SYSTEM FAULT · F3 NO FRESHGAS · FB APL
        VALVE · FC CO2 NOT CAL · FD BATTERY ERR · FE COOLING
        """,
    ),
    *_rows("CP1", AlarmKind.PHYSIOLOGICAL,
        """
        00 APNEA · 01 NO SPO2 PULS · 02 SPO2 PULS LO · 03 SYS GP1 HIGH · 04 SYS GP1 LOW · 05 HRT RATE LOW ·
        06 SYS PA HI · 07 SPO2 LOW · 08 O2 LOW · 09 HAL HIGH · 0A DIAS PA HI · 0B ENF HIGH · 0C ISO HIGH ·
        0D APNEA CO2 · 0E APNEA VOL · 0F APNEA PRES · 10 PAW HIGH · 14 MEAN PA HI · 15 SYS PA LOW · 16 DIAS
        PA LO · 17 MEAN PA LO · 18 PRESS EXP HI · 19 MIN VOL LOW · 1A NBP SYS LOW · 1B NBP DIA LOW · 1C SYS
        ART LOW · 1D DIAS GP1 HI · 1E SPO2 PULS HI · 1F SEV HIGH · 20 DIAS GP1 LOW · 21 HRT RATE HI · 22
        SPO2 HIGH · 23 NBP SYS HI · 24 DES HIGH · 25 SYS ART HI · 26 MEAN GP1 HI · 27 ET CO2 LOW · 28 ET CO2
        HIGH · 29 HAL LOW · 2A ENF LOW · 2B ISO LOW · 2C DES LOW · 2D NBP DIA HI · 2E TEMP1 LOW · 2F TEMP2
        LOW · 30 AIR TEMP HI · 31 MEAN GP1 LOW · 32 SEV LOW · 33 VOL INCONST · 37 O2 HIGH · 38 SYS GP2 HIGH
        · 39 SYS GP2 LOW · 3C INSP CO2 HI · 3F NBP MEAN LO · 40 DIAS GP2 HI · 41 NBP MEAN HI · 44 DIAS GP2
        LOW · 45 MEAN GP2 HI · 4C MEAN GP2 LOW · 4D SYS LV HIGH · 4E SYS LV LOW · 52 DIAS LV HIGH · 54 CVP
        LO · 55 CVP HI · 56 DIAS LV LOW · 5C MEAN LV HIGH · 61 MEAN LV LOW · 62 LA HIGH · 63 LA LOW · 6B AIR
        TEMP LOW · 6F SYS RV HIGH · 70 OXYGEN LOW · 71 SYS RV LOW · 72 DIAS RV HIGH · 73 DIAS RV LOW · 74
        MEAN RV HIGH · 75 MEAN RV LOW · 76 ICP HIGH · 77 ICP LOW · 79 CPP HIGH · 7A CPP LOW · 7D NO ART PULS
        · 85 NO RV PULS · 86 MEAN ART LO · 87 MEAN ART HI · 88 DIAS ART LO · 89 NO LV PULS · 8A DIAS ART HI
        · 8B NO GP1 PULS · 8C NO GP2 PULS · 90 RESP RATE HI · 94 S-T HIGH · 95 RESCUE VENT · 96 ASYSTOLE ·
        98 APNEA RESP · 99 S-T LOW · 9A PAW LOW · 9B MIN VOL HIGH · A3 PAW NEGATIVE · A8 OXYGEN HIGH · BA
        AW-TEMP HIGH · C0 O2 LOW · CB TEMP1 HIGH · CC TEMP2 HIGH · D2 VENTR. FIBR. · DA PEEP HIGH · E3 NO PA
        PULS · E8 TIDAL VOL HI · F0 DTEMP HIGH · F5 INSP MAC HI · F6 DTEMP LOW · F8 CONT PRES · FA THRESHOLD
        LO · FF DISCONNECT
        """,
    ),
    *_rows("CP1", AlarmKind.ADVISORY,
        """
        11 FRESH GAS · 3A PS LIMITED · 53 NO S-T · 57 CO2 ALRM OFF · 5A HEMO ALRM OF · 5B SPO2 ALRM OF · 5E
        VOL ALRM OFF · 66 MIXED AGENT · A7 AUTO ADAPT · AC MV ALARM OFF · AE CONT. NEBUL · B2 CHECK WEAN ·
        B3 GAS MON CAL · B6 WARM-UP DONE · BB SCAVNOTADAPT · BF WEANING FAIL · C4 PRESSURE LIM · C5 WEANING
        DONE · E9 O2 ALARM OFF · EE 2nd AGENT · F1 P MAX · F4 SAFETY O2 ON · F7 FICO2 ALARM OFF
        """,
    ),
    *_rows("CP2", AlarmKind.TECHNICAL,
        """
        03 OVERPRESS · 0B NBP TUBE · 0C HUM INOP · 10 N2O PRESS HI · 11 VA ERR · 12 VA MIX ERR · 17 CTEMP
        ERR · 1A PTEMP ERR · 1B AMB TEMP ERR · 31 O2CYLINDLOW · 32 O2 CYL low · 33 O2CYLDISCON · 34 N2O CYL
        · 35 NO N2O · 36 NO OXYGEN · 37 NO AIR · 39 FG EXTERN · 3B AMB PRESS · 40 VOLAT ERR · 41 VOLAT
        SUPPLY · 42 CO2LINE · 50 MOD INOP · 59 INTBATTERY · 5A BATTERY ON · 5B NO NEBULIS · 5C BATT < 2MIN ·
        5D BATT < 5MIN · 6C MICROFILTER · 6D DC ON · 6E AMB PRESS HI · 6F AMB PRESS LO · 78 RA ERR · 8D VENT
        ASSEMBL · 90 NEO FLOW · 91 LOSS OF DATA · 94 CHECK VENT · 96 PEEP ERR · 9C LEAKAGE · A0 VENTUNLOCKD
        · A1 PWR SPLY ERR · A8 INSP VOL ERR · B2 N2OCYLSENS · B3 AIRCYLSENS · B4 O2 CYLSENS · B5 AIR CYL ·
        B6 INRES HIGH · B7 EXPRESHIGH · B9 PBAG INOP · C1 ECG INOP · C2 ECG ELEC. RL · C3 ECG ELEC. V+ · C7
        FG AIR SENS · C8 FG O2 SENS · C9 FG N2O SENS · CA NO AIR · CB NO N2O · CE HOSE KINKED · CF VT HIGH
        HOSE · D0 PRESS RELIEF · D1 HOSE ERROR · D3 WATERTROLD · D4 ABSORB OLD · D6 HOSES MIXED · D7 WRONG
        HOSES · D8 IDFUNCINOP · D9 HOSE OLD · DD NMT INOP · DE NMT SENS · DF NMT TEMP · E2 BIS INOP · E3 BIS
        SENS · E6 SC INOP · EC EJECTOR INOP · F1 PILOTLINE SW · F2 HOSE MISSING · FE INT BATT ON
        """,
    ),
    *_rows("CP2", AlarmKind.PHYSIOLOGICAL,
        """
        0D HUMIDITY LOW · 15 CTEMP LOW · 16 CTEMP HIGH · 18 PTEMP LOW · 19 PTEMP HIGH · 3A N2O HIGH · 6A
        TUBE OBSTRUC · 74 RA LO · 75 RA HI · 7C MAT TEMP HI · 7F CHK PATIENT · 93 APNEA VENT · 9D BACKUP
        VENT · A2 EXPHAL HIGH · A3 EXPENF HIGH · A4 EXPISO HIGH · A5 EXPDES HIGH · A6 EXPSEV HIGH · A7 TIDAL
        VOL · AC FG TOO HIGH · BB N2O LOW · BD INSP AGTHI · C4 BLOOD TEMP · C5 BLOOD TEMP · CC PEEP LOW · DB
        NMT TOFHIGH · DC NMT TOFLOW · E0 BISHIGH · E1 BISLOW · E7 CENTRAL HYPO · E8 PERS TACHYP · EF AF VT
        LOW · F4 MAP LOW · F7 PAW HIGH HF · F8 TIDAL VOL LO · F9 PLOW HIGH · FA PLOW LOW · FF FLOW LOW
        """,
    ),
    *_rows("CP2", AlarmKind.ADVISORY,
        """
        01 NBP NO RSLT · 07 NBP TIMEOUT · 14 CPAP DEACT · 38 FG LIMITED · 43 CHECK FLOW · 44 CHECK FIO2 · 45
        FGFLOW HIGH · 66 APN ALRM OFF · 67 MV LOW OFF · 68 VT HIGH OFF · 98 NEBULIZER ON · 99 INSPHOLD END ·
        9E EXPHOLD END · 9F NEBULIZ OFF · A9 SETCANCELED · AB CONFIRM SET · AD FG ACTIVE · AE AIR TRAPPING ·
        AF O2 CYL OPEN · B0 N2O CYL OPEN · B1 AIR CYL OPEN · B8 NO CONFIRM · BA PIP PMIN REACHED · BC WRONG
        AGENT · BE DIVA WARMUP · BF ECG RELEARN · C0 ECG RLRNERR · C6 ALL ALRM SUS · CD PINSP · D2 MAC LOW ·
        D5 ABSPRESENT · DA EXP TIME ERR · E4 BIS · E5 SC ABORTED · E9 UNEXPL HYPER · EA PEEP REDUCIB · EB
        CONS SEPARAT · ED CONSTANT CO2 · F3 FIO2 REDUCIB · FB VT LIMITED · FC AIR ENTRAIN · FD VENT PAUSE
        """,
    ),
)  # fmt: skip
NOTHING: Final[CodeTable] = MappingProxyType({})
"""Of a model that is not known: phrases are kept, nothing is classified."""


@dataclass(frozen=True, slots=True)
class Family:
    """Models that share a table."""

    name: str
    table: CodeTable
    has_clock: bool
    """Whether it is asked for its date and time."""
    tells_equipment: bool = True
    """Whether its measured values and texts about equipment are taken as the tables say."""


SAVINA_FAMILY: Final = Family("Savina", SAVINA, has_clock=True)
EVITA_4_FAMILY: Final = Family("Evita 4", EVITA_4, has_clock=False)
EVITA_FAMILY: Final = Family("Evita", EVITA, has_clock=False)
X_FAMILY: Final = Family("MEDIBUS.X", MEDIBUS_X, has_clock=True)
UNKNOWN_FAMILY: Final = Family("not known", NOTHING, has_clock=False, tells_equipment=False)


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A number that a device tells for its model."""

    name: str
    family: Family
    is_ventilator: bool = True


MODELS: Final[Mapping[str, KnownModel]] = MappingProxyType(
    {
        "8210": KnownModel("Evita", EVITA_FAMILY),
        "8230": KnownModel("Evita 2 dura", EVITA_4_FAMILY),
        "8240": KnownModel("Evita 4", EVITA_4_FAMILY),
        "8250": KnownModel("Savina", SAVINA_FAMILY),
        "8260": KnownModel("EvitaXL", EVITA_4_FAMILY),
        "8300": KnownModel("Capnosat", UNKNOWN_FAMILY, is_ventilator=False),
    }
)
COMPUTER: Final = "0161"
"""The number that computers give for themselves, ours too."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a text code tells of the device."""

    words: str
    state: OperatingState | None = None
    x_only: bool = False


TEXTS: Final[Mapping[str, Text]] = MappingProxyType(
    {
        "62": Text("simulation on", OperatingState.DEMO),
        "12": Text("product-test mode", OperatingState.TEST),
        "53": Text("leak test running", OperatingState.TEST),
        "63": Text("switched off by the emergency switch", OperatingState.OFF, x_only=True),
        "1E": Text("ventilator standby", OperatingState.STANDBY),
        "54": Text("device standby", OperatingState.STANDBY),
        "90": Text("device check: fully functional", x_only=True),
        "91": Text("device check: conditionally functional", x_only=True),
        "92": Text("device check: not functional", x_only=True),
    }
)
"""The texts that are looked at, the state that counts most first; of all others nothing is taken."""

RATE: Final = "D6"
VOLUMES: Final = ("B9", "B8")
BATTERY_PCT: Final = "C6"
O2_SUPPLY_MBAR: Final = "0F"
MEASURED: Final = MappingProxyType(
    {
        RATE: "respiratory rate: looked at to judge use, and dropped",
        "B9": "minute volume: looked at to judge use, and dropped",
        "B8": "spontaneous minute volume: looked at to judge use, and dropped",
        BATTERY_PCT: "battery charge, %",
        O2_SUPPLY_MBAR: "pressure of the central O2 supply, mbar",
    }
)
"""The measured values that are asked for where a device can be asked for some only."""
BLIND: Final = frozenset({"CP1-42", "CP1-A4", "CP1-AD", "CP1-C1", "CP1-EA", "CP2-90", "CP2-A8"})
"""While one of these stands, a ventilator at work may have no rate and no volume to tell."""


def priority_of(number: int) -> Priority:
    """1-10 low, 11-24 medium, 25-31 high: a reading that fits the tables; the manual gives none."""
    if number > 24:
        return Priority.HIGH
    return Priority.MEDIUM if number > 10 else Priority.LOW
